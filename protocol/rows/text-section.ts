/**
 * Many texts as one: their UTF-8 one after the other, and the bytes of each as LEB128. Reading decodes all at once and
 * cuts, which costs a tenth of decoding each.
 */
const encoder = new TextEncoder()
// A text may begin with U+FEFF, which is a part of it.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export interface PackedTexts {
  readonly bytes: Uint8Array
  readonly lengths: Uint8Array
}

export function packTexts(texts: readonly string[]): PackedTexts {
  const joined = texts.join('')
  const bytes = encoder.encode(joined)
  const isAscii = bytes.length === joined.length
  const lengths = new Lengths(texts.length)
  for (const text of texts) lengths.add(isAscii ? text.length : utf8Length(text))
  return { bytes, lengths: lengths.toBytes() }
}

/** The texts again. The lengths have passed `textsFault`. Throws `TypeError` when the bytes are no UTF-8. */
export function unpackTexts(bytes: Uint8Array, lengths: Uint8Array): string[] {
  const joined = decoder.decode(bytes)
  const isAscii = joined.length === bytes.length
  const texts: string[] = []
  let at = 0
  let byte = 0
  visitLengths(lengths, (length) => {
    const units = isAscii ? length : utf16Length(bytes, byte, byte + length)
    texts.push(joined.substring(at, at + units))
    at += units
    byte += length
  })
  return texts
}

/** What is wrong with the lengths of `count` texts in so many bytes, if anything. */
export function textsFault(lengths: Uint8Array, bytes: number, count: number): string | undefined {
  let found = 0
  let total = 0
  const isWhole = visitLengths(lengths, (length) => {
    found++
    total += length
  })
  if (!isWhole || found !== count) return `does not hold ${count} lengths`
  return total === bytes ? undefined : `has texts of ${total} bytes in a section of ${bytes}`
}

/** The bytes of each text. The lengths have passed `textsFault`. */
export function lengthsOf(lengths: Uint8Array): number[] {
  const all: number[] = []
  visitLengths(lengths, (length) => all.push(length))
  return all
}

/** Numbers as LEB128, one after the other. */
export class Lengths {
  #bytes: Uint8Array
  #end = 0

  constructor(count: number) {
    this.#bytes = new Uint8Array(2 * count + 5)
  }

  /** `length`: below 2^31. */
  add(length: number): void {
    if (this.#end + 5 > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#bytes.length + 5)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    let rest = length
    while (rest >= 0x80) {
      this.#bytes[this.#end++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.#bytes[this.#end++] = rest
  }

  toBytes(): Uint8Array {
    return this.#bytes.slice(0, this.#end)
  }
}

/** False when the bytes end within a number, or one is beyond 2^31. */
function visitLengths(lengths: Uint8Array, visit: (length: number) => unknown): boolean {
  let value = 0
  let shift = 0
  for (const byte of lengths) {
    value |= (byte & 0x7f) << shift
    if (byte < 0x80) {
      if (value < 0) return false
      visit(value)
      value = 0
      shift = 0
    } else {
      shift += 7
      if (shift > 28) return false
    }
  }
  return shift === 0
}

function utf8Length(text: string): number {
  let length = 0
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    // Each half of a surrogate pair stands for two of its four bytes.
    length += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 2 : 3
  }
  return length
}

/** Units of UTF-16 of the UTF-8 from `start` to before `end`: one for each character, two for one of four bytes. */
function utf16Length(bytes: Uint8Array, start: number, end: number): number {
  let units = 0
  for (let index = start; index < end; index++) {
    const byte = bytes[index] ?? 0
    if ((byte & 0xc0) !== 0x80) units += byte >= 0xf0 ? 2 : 1
  }
  return units
}
