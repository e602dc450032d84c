import { createHash } from 'node:crypto'
import { BoundedMap } from '../../lib/bounded-map.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Findable } from './candidates.ts'

/** Milliseconds. */
const keptMs = 60_000
/** About 100 bytes each. */
const mostKept = 2000

/**
 * Conditions that few rows satisfied when they were last compared, for a minute: whoever searches the same place again
 * and again need not ask the planner each time. Only few are remembered: who compares more one by one finds out and
 * forgets it, and the answer is exact.
 */
export class FewRows {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #until = new BoundedMap<string, number>(mostKept)

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  has(asked: Findable): boolean {
    return (this.#until.get(keyOf(asked)) ?? Number.NEGATIVE_INFINITY) > this.#clock.monotonic()
  }

  add(asked: Findable): void {
    this.#until.set(keyOf(asked), this.#clock.monotonic() + keptMs)
  }

  forget(asked: Findable): void {
    this.#until.delete(keyOf(asked))
  }
}

/** Values may be the channels of somebody with thousands of them. */
function keyOf({ table, condition, values }: Findable): string {
  return createHash('sha1')
    .update(JSON.stringify([table, condition, values]))
    .digest('base64')
}
