import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { TideError } from '../../protocol/error.ts'
import { unreadable } from './backup-error.ts'

/**
 * A stream of any length, encrypted and authenticated piece by piece (the STREAM construction of Hoang, Reyhanitabar,
 * Rogaway and Vizár, 2015, over AES-256-GCM): each piece carries its number and whether it is the last, so that none
 * can be changed, exchanged, left out or cut off, and nothing is handed out before it was found genuine.
 *
 *     piece: length (4 bytes, big endian) · ciphertext · tag (16 bytes)
 *     nonce: number of the piece (11 bytes, big endian) · 1 for the last, else 0
 *
 * The key is made for this stream alone (HKDF-SHA256 with its salt), so numbers may begin at 0 in each. `context` is
 * bound to it.
 */
export interface StreamKey {
  /** 32 bytes. */
  readonly key: Uint8Array
  /** 32 random bytes, told beside the stream. */
  readonly salt: Uint8Array
  /** What the stream belongs to, in clear: a stream with another one does not open. */
  readonly context: Uint8Array
}

const algorithm = 'aes-256-gcm'
const tagBytes = 16
export const pieceBytes = 256 * 1024
const lengthBytes = 4

export async function* sealStream(
  source: AsyncIterable<Uint8Array>,
  streamKey: StreamKey,
): AsyncGenerator<Uint8Array, void, undefined> {
  const key = deriveKey(streamKey)
  let number = 0
  const seal = (plain: Uint8Array, last: boolean): Uint8Array => {
    const cipher = createCipheriv(algorithm, key, nonce(number++, last))
    const head = Buffer.alloc(lengthBytes)
    head.writeUInt32BE(plain.length + tagBytes)
    return Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }
  let held: Uint8Array = new Uint8Array(0)
  for await (const piece of inPieces(source, () => pieceBytes)) {
    if (held.length > 0) yield seal(held, false)
    held = piece
  }
  yield seal(held, true)
}

/** Throws `backup_unreadable` when it is damaged, cut off, or was sealed with another key. */
export async function* openStream(
  source: AsyncIterable<Uint8Array>,
  streamKey: StreamKey,
): AsyncGenerator<Uint8Array, void, undefined> {
  const key = deriveKey(streamKey)
  let number = 0
  let ended = false
  let want: 'length' | 'piece' = 'length'
  let length = lengthBytes
  for await (const part of inPieces(source, () => length)) {
    if (ended) throw unreadable('goes on after its end')
    if (part.length < length) throw unreadable('is cut off')
    if (want === 'length') {
      length = Buffer.from(part.buffer, part.byteOffset, part.byteLength).readUInt32BE()
      if (length < tagBytes || length > pieceBytes + tagBytes) throw unreadable('is damaged')
      want = 'piece'
      continue
    }
    const opened = open(key, part, number, false) ?? open(key, part, number, true)
    if (!opened) throw unreadable('is damaged, or was encrypted with another key')
    ended = opened.last
    number++
    if (opened.plain.length > 0) yield opened.plain
    want = 'length'
    length = lengthBytes
  }
  if (!ended) throw unreadable('is cut off')
}

function open(
  key: Buffer,
  part: Uint8Array,
  number: number,
  last: boolean,
): { readonly plain: Uint8Array; readonly last: boolean } | undefined {
  try {
    const decipher = createDecipheriv(algorithm, key, nonce(number, last), { authTagLength: tagBytes })
    decipher.setAuthTag(part.subarray(part.length - tagBytes))
    return { plain: Buffer.concat([decipher.update(part.subarray(0, -tagBytes)), decipher.final()]), last }
  } catch (error) {
    if (error instanceof TideError) throw error
    return undefined
  }
}

function nonce(number: number, last: boolean): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeUIntBE(number, 5, 6)
  bytes[11] = Number(last)
  return bytes
}

function deriveKey({ key, salt, context }: StreamKey): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, context, 32))
}

/** Joins and cuts what comes to the length that is asked for before each, 0: as it comes; the last may be shorter. */
export async function* inPieces(
  source: AsyncIterable<Uint8Array>,
  wanted: () => number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let parts: Uint8Array[] = []
  let have = 0
  for await (const chunk of source) {
    parts.push(chunk)
    have += chunk.length
    while (have > 0 && have >= wanted()) {
      const length = wanted() || have
      const joined = parts.length === 1 ? (parts[0] ?? chunk) : Buffer.concat(parts)
      const rest = joined.subarray(length)
      parts = rest.length > 0 ? [rest] : []
      have = rest.length
      yield joined.subarray(0, length)
    }
  }
  if (have > 0) yield Buffer.concat(parts)
}
