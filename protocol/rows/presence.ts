/** Which rows of a column have a value: one bit per row, the lowest of a byte first. */

export function presenceBytes(count: number): number {
  return Math.ceil(count / 8)
}

export function isPresent(bits: Uint8Array, row: number): boolean {
  return (((bits[row >> 3] ?? 0) >> (row & 7)) & 1) === 1
}

export function setPresent(bits: Uint8Array, row: number): void {
  bits[row >> 3] = (bits[row >> 3] ?? 0) | (1 << (row & 7))
}

/** How many of the first `count` rows have a value. */
export function countPresent(bits: Uint8Array, count: number): number {
  let present = 0
  for (let row = 0; row < count; row++) present += isPresent(bits, row) ? 1 : 0
  return present
}

/** One entry per row: the values in their order where there is one, else null. */
export function spread<T>(values: readonly T[], bits: Uint8Array, count: number): (T | null)[] {
  const rows: (T | null)[] = []
  let next = 0
  for (let row = 0; row < count; row++) rows.push(isPresent(bits, row) ? (values[next++] ?? null) : null)
  return rows
}
