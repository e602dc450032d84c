/** Inflates RFC 1951 data in a browser. Rejects when it is none, or has more than `most` bytes. */
export async function inflateRaw(deflated: Uint8Array, most: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(most)
  const { readable, writable } = new DecompressionStream('deflate-raw')
  const writer = writable.getWriter()
  const written = writer.write(new Uint8Array(deflated)).then(() => writer.close())
  // What goes wrong in writing is told by reading too.
  written.catch(() => undefined)
  const reader = readable.getReader()
  let end = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return bytes.subarray(0, end)
    if (end + value.length > most) {
      await reader.cancel()
      throw new RangeError(`There are more than ${most} bytes.`)
    }
    bytes.set(value, end)
    end += value.length
  }
}
