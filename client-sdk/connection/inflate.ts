import { TideError } from '../../protocol/error.ts'

/** Most bytes that a page may have when it is inflated. */
const maxBytes = 512 * 1024 * 1024

/** The `length` bytes that were deflated (RFC 1951). Throws `TideError` `bad_frame` when they are others, or `message_too_large`. */
export async function inflate(deflated: Uint8Array, length: number): Promise<Uint8Array> {
  if (length > maxBytes)
    throw new TideError('message_too_large', `A page has ${length} bytes; at most ${maxBytes} are taken.`)
  const bytes = new Uint8Array(length)
  const end = await inflateInto(bytes, deflated).catch((cause: unknown) => {
    throw new TideError('bad_frame', 'A page could not be read: it cannot be inflated.', { cause })
  })
  if (end !== length) throw new TideError('bad_frame', `A page could not be read: it has no ${length} bytes.`)
  return bytes
}

/** How many bytes there were; what does not fit is left out. */
async function inflateInto(bytes: Uint8Array, deflated: Uint8Array): Promise<number> {
  const { readable, writable } = new DecompressionStream('deflate-raw')
  const writer = writable.getWriter()
  const written = writer.write(new Uint8Array(deflated)).then(() => writer.close())
  // What goes wrong in writing is told by reading too.
  written.catch(() => undefined)
  const reader = readable.getReader()
  let end = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return end
    if (end + value.length > bytes.length) {
      await reader.cancel()
      return end + value.length
    }
    bytes.set(value, end)
    end += value.length
  }
}
