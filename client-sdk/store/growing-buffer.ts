const utf8 = new TextEncoder()
const firstCapacity = 1 << 20

/** Bytes that are written one after the other, big-endian. */
export class GrowingBuffer {
  #bytes: Uint8Array<ArrayBuffer>
  #view: DataView
  #end = 0

  constructor(capacity = firstCapacity) {
    this.#bytes = new Uint8Array(capacity)
    this.#view = new DataView(this.#bytes.buffer)
  }

  /** The next `length` bytes, to be filled in; valid until the next call. */
  claim(length: number): Uint8Array {
    const start = this.#reserve(length)
    return this.#bytes.subarray(start, start + length)
  }

  bytes(bytes: Uint8Array): void {
    const { length } = bytes
    const start = this.#reserve(length)
    // A call into the runtime costs as much as some dozens of bytes.
    if (length > 48) this.#bytes.set(bytes, start)
    else for (let index = 0; index < length; index++) this.#bytes[start + index] = bytes[index] ?? 0
  }

  text(text: string): void {
    // Three bytes hold any UTF-16 unit.
    const start = this.#reserve(3 * text.length)
    this.#end = start + utf8.encodeInto(text, this.#bytes.subarray(start)).written
  }

  int8(value: number): void {
    const start = this.#reserve(1)
    this.#view.setInt8(start, value)
  }

  int16(value: number): void {
    const start = this.#reserve(2)
    this.#view.setInt16(start, value)
  }

  int32(value: number): void {
    const start = this.#reserve(4)
    this.#view.setInt32(start, value)
  }

  int64(value: number): void {
    const high = Math.floor(value / 2 ** 32)
    const start = this.#reserve(8)
    this.#view.setInt32(start, high)
    this.#view.setUint32(start + 4, value - high * 2 ** 32)
  }

  float64(value: number): void {
    const start = this.#reserve(8)
    this.#view.setFloat64(start, value)
  }

  /** What `write` writes, with its length in bytes before it. */
  sized(write: () => void): void {
    const start = this.#reserve(4)
    write()
    this.#view.setInt32(start, this.#end - start - 4)
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#end)
  }

  /** Call it in a statement of its own: it may replace `#bytes` and `#view`, which must be looked up after it. */
  #reserve(length: number): number {
    const start = this.#end
    this.#end += length
    if (this.#end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#end))
      larger.set(this.#bytes)
      this.#bytes = larger
      this.#view = new DataView(larger.buffer)
    }
    return start
  }
}
