/**
 * Whether two sides hold the same rows, without sending them: ids fall into sixteen ranges by their last hex digit (the
 * random end of a UUID, so ranges are even); of each range both know the count and the sum of row hashes. Sums do not
 * depend on order and go up and down with single rows, so neither side needs to sort or to start over.
 */
export interface RangeSum {
  readonly count: number
  /** Sum of `rowHash` modulo 2^53. */
  readonly hash: number
}

export const rangeCount = 16
const low32 = 2 ** 32
const highMask = 2 ** 21 - 1

/** The range an id falls into, 0 to 15. */
export function rangeOf(id: string): number {
  const digit = Number.parseInt(id.slice(-1), 16)
  return Number.isNaN(digit) ? 0 : digit
}

/** A hash of a row's state, a whole number from 0 to 2^53 - 1. */
export function rowHash(id: string, version: number): number {
  const [high, low] = hashWords(`${id}:${version}`)
  return high * low32 + low
}

/** Sums of rows by range; rows may be taken out again. */
export class RangeSums {
  readonly #counts = new Float64Array(rangeCount)
  // The sum in two halves, for 2^53 + 2^53 is no longer exact.
  readonly #high = new Uint32Array(rangeCount)
  readonly #low = new Uint32Array(rangeCount)

  add(id: string, version: number): void {
    const range = rangeOf(id)
    const [high, low] = hashWords(`${id}:${version}`)
    const sum = (this.#low[range] ?? 0) + low
    const carry = sum >= low32 ? 1 : 0
    this.#low[range] = sum
    this.#high[range] = ((this.#high[range] ?? 0) + high + carry) & highMask
    this.#counts[range] = (this.#counts[range] ?? 0) + 1
  }

  remove(id: string, version: number): void {
    const range = rangeOf(id)
    const [high, low] = hashWords(`${id}:${version}`)
    const difference = (this.#low[range] ?? 0) - low
    const borrow = difference < 0 ? 1 : 0
    this.#low[range] = difference
    this.#high[range] = ((this.#high[range] ?? 0) - high - borrow) & highMask
    this.#counts[range] = (this.#counts[range] ?? 0) - 1
  }

  /** Always sixteen. */
  toRanges(): RangeSum[] {
    return Array.from({ length: rangeCount }, (_, range) => ({
      count: this.#counts[range] ?? 0,
      hash: (this.#high[range] ?? 0) * low32 + (this.#low[range] ?? 0),
    }))
  }
}

/** The ranges (0 to 15) in which two sides differ. */
export function compareRanges(mine: readonly RangeSum[], theirs: readonly RangeSum[]): number[] {
  return Array.from({ length: rangeCount }, (_, range) => range).filter((range) => {
    const a = mine[range]
    const b = theirs[range]
    return (a?.count ?? 0) !== (b?.count ?? 0) || (a?.hash ?? 0) !== (b?.hash ?? 0)
  })
}

/** cyrb53 (bryc, public domain) as its upper 21 and lower 32 bits. */
function hashWords(text: string): readonly [high: number, low: number] {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    a = Math.imul(a ^ code, 2_654_435_761)
    b = Math.imul(b ^ code, 1_597_334_677)
  }
  a = Math.imul(a ^ (a >>> 16), 2_246_822_507) ^ Math.imul(b ^ (b >>> 13), 3_266_489_909)
  b = Math.imul(b ^ (b >>> 16), 2_246_822_507) ^ Math.imul(a ^ (a >>> 13), 3_266_489_909)
  return [b & highMask, a >>> 0]
}
