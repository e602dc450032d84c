import { Slots } from '../../lib/slots.ts'
import { TideError } from '../../protocol/error.ts'
import type { InputBudget } from './input-budget.ts'

/** Of one session: requests that are worked on at a time, and those that may wait with them. */
const atOnce = 8
const most = 256

/** Searches and calls of one session: a few at a time, and none is begun while the client leaves its answers unread. */
export class Requests {
  readonly #slots = new Slots(atOnce)
  readonly #room: () => Promise<void> | undefined
  readonly #input: InputBudget
  #count = 0

  constructor(room: () => Promise<void> | undefined, input: InputBudget) {
    this.#room = room
    this.#input = input
  }

  /**
   * `bytes`: of the request. Rejects with `rate_limited`, or with `closed` when the connection ends before the work was
   * begun.
   */
  async run<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    if (this.#count >= most)
      throw new TideError('rate_limited', `${most} requests wait already.`, { retryAfterMs: 1000 })
    if (!this.#input.take(bytes))
      throw new TideError('rate_limited', `${this.#input.most} bytes of requests wait already.`, { retryAfterMs: 1000 })
    this.#count += 1
    try {
      return await this.#slots.run(async () => {
        await this.#room()
        return work()
      })
    } finally {
      this.#count -= 1
      this.#input.release(bytes)
    }
  }
}
