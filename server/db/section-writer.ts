/**
 * Buffers that were written into and are free again: growing anew for every page would be most of what is left to
 * collect.
 */
const spare: Buffer[] = []
const maxSpare = 32
const maxSpareBytes = 1024 * 1024

/** Bytes of a section in the making. */
export class SectionWriter {
  #bytes: Buffer
  #end = 0

  constructor() {
    this.#bytes = spare.pop() ?? Buffer.allocUnsafeSlow(4096)
  }

  get length(): number {
    return this.#end
  }

  append(source: Uint8Array, start: number, end: number): void {
    const length = end - start
    const at = this.#reserve(length)
    const bytes = this.#bytes
    // A call into the runtime costs as much as some dozens of bytes.
    if (length > 48) bytes.set(source.subarray(start, end), at)
    else for (let index = 0; index < length; index++) bytes[at + index] = source[start + index] ?? 0
  }

  byte(value: number): void {
    const at = this.#reserve(1)
    this.#bytes[at] = value
  }

  float64(value: number): void {
    const at = this.#reserve(8)
    this.#bytes.writeDoubleLE(value, at)
  }

  /** A copy of what was written. Nothing may be written after it. */
  take(): Buffer {
    const bytes = Buffer.allocUnsafeSlow(this.#end)
    this.#bytes.copy(bytes, 0, 0, this.#end)
    if (spare.length < maxSpare && this.#bytes.length <= maxSpareBytes) spare.push(this.#bytes)
    this.#bytes = none
    return bytes
  }

  #reserve(length: number): number {
    const at = this.#end
    this.#end += length
    if (this.#end > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#end))
      this.#bytes.copy(larger, 0, 0, at)
      this.#bytes = larger
    }
    return at
  }
}

const none = Buffer.alloc(0)
