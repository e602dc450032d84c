import { promisify } from 'node:util'
import zlib from 'node:zlib'

const inflate = promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.inflateRaw)

/**
 * Inflates RFC 1951 data in Node, in a sixth of the CPU time that `DecompressionStream` takes there. Rejects when it is
 * none, or has more than `most` bytes.
 */
export async function inflateRaw(deflated: Uint8Array, most: number): Promise<Uint8Array> {
  const { buffer, byteOffset, length } = await inflate(deflated, {
    maxOutputLength: Math.max(1, most),
    // One piece, so that nothing is put together.
    chunkSize: Math.max(64, most),
  })
  return new Uint8Array(buffer, byteOffset, length)
}
