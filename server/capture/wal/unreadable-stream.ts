import { DatabaseError } from 'pg'
import { errorText } from '../../telemetry/telemetry.ts'
import { UnreadableStreamError } from './replication-client.ts'

/** A stream that ends so often at the same place will not go on. */
const tries = 3
/**
 * SQLSTATE of a publication that does not exist: a slot looks for it as of the place in the WAL, where it will never
 * be.
 */
const undefinedObject = '42704'

/** SQLSTATE of values that cannot be written: the log refuses what came, and will refuse it again. */
const unwritable = /^(22|23)/

/**
 * Decides when a slot is given up: what it holds cannot be read, by Postgres or by us, or cannot be logged, and no
 * further try changes that.
 */
export class UnreadableStream {
  #failures = 0
  #place = -1
  #words: string | undefined

  /** The stream ended for a reason, after everything before `place` had been captured. */
  saw(reason: unknown, place: number): void {
    if (!isLasting(reason)) return
    this.#failures = place > this.#place ? 1 : this.#failures + 1
    this.#place = place
    if (reason.code === undefinedObject || this.#failures >= tries) this.#words = errorText(reason)
  }

  /** Why the slot must be a new one, once. */
  verdict(): string | undefined {
    const words = this.#words
    this.#words = undefined
    if (words !== undefined) this.#failures = 0
    return words
  }
}

function isLasting(reason: unknown): reason is UnreadableStreamError | DatabaseError {
  if (reason instanceof UnreadableStreamError) return true
  return reason instanceof DatabaseError && unwritable.test(reason.code ?? '')
}
