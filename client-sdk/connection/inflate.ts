import { inflateRaw } from '#inflate-raw'
import { TideError } from '../../protocol/error.ts'

/** Most bytes that a page may have when it is inflated. */
const maxBytes = 512 * 1024 * 1024

/**
 * The `length` bytes that were deflated (RFC 1951). Throws `TideError` `bad_frame` when they are others, or
 * `message_too_large`.
 */
export async function inflate(deflated: Uint8Array, length: number): Promise<Uint8Array> {
  if (length > maxBytes)
    throw new TideError('message_too_large', `A page has ${length} bytes; at most ${maxBytes} are taken.`)
  const bytes = await inflateRaw(deflated, length).catch((cause: unknown) => {
    throw new TideError('bad_frame', 'A page could not be read: it cannot be inflated.', { cause })
  })
  if (bytes.length !== length) throw new TideError('bad_frame', `A page could not be read: it has no ${length} bytes.`)
  return bytes
}
