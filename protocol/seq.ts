import { invariant } from '../lib/invariant.ts'
import type { Brand } from '../lib/brand.ts'

/**
 * A place in the change log: the number of a commit, growing in commit order with gaps. A JavaScript number, since log
 * positions stay below 2^53 (as a WAL position that is 9 PB of log).
 */
export type Seq = Brand<number, 'Seq'>

/** Checks and brands a log position. */
export function toSeq(value: number | string | bigint): Seq {
  const seq = Number(value)
  invariant(Number.isSafeInteger(seq) && seq >= 0, `log position ${String(value)} is a whole number below 2^53`)
  return seq as Seq
}

/** A log position that somebody else wrote; undefined: it is none. */
export function parseSeq(text: string): Seq | undefined {
  const seq = Number(text)
  return /^\d+$/.test(text) && Number.isSafeInteger(seq) ? toSeq(seq) : undefined
}

/** Before the first commit. */
export const zeroSeq: Seq = toSeq(0)

/** Where a replica stands: positions of different epochs (another or restored database) cannot be compared. */
export interface Cursor {
  readonly epoch: string
  readonly seq: Seq
}
