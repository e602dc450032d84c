import { TideError } from '../../protocol/error.ts'
import type { Outcome } from '../../protocol/messages/mutation.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import type { Limits } from '../config.ts'
import type { InputBudget } from './input-budget.ts'

/** A push, and the bytes of its frame. */
interface Push extends Pick<UpOf<'push'>, 'mutations'> {
  readonly bytes: number
}

export interface PushQueueOptions {
  readonly limits: Pick<Limits, 'queuedPushes' | 'pushMutations'>
  /** Shared with the requests of the session. */
  readonly input: InputBudget
  readonly push: (mutations: Push['mutations']) => Promise<readonly Outcome[]>
  readonly answered: (outcomes: readonly Outcome[]) => void
  /** The push was refused as a whole. */
  readonly refused: (error: unknown) => void
  /** Too many wait. Dropping one would break the order of the device's writes: the connection must begin anew. */
  readonly overrun: (error: TideError) => void
}

/**
 * Pushes that wait are applied together, so many at once: one transaction for all costs far less than one for each.
 * More would keep the rows that they write locked for longer.
 */
const together = 4

/**
 * The pushes of one session, in the order they came, and only so many waiting. What comes while others are applied goes
 * together.
 */
export class PushQueue {
  readonly #options: PushQueueOptions
  readonly #waiting: Push[] = []
  #serving: Promise<void> | undefined
  #isFinished = false

  constructor(options: PushQueueOptions) {
    this.#options = options
  }

  /** `bytes`: of the frame. Throws `message_too_large`. */
  add({ mutations }: Pick<Push, 'mutations'>, bytes: number): void {
    if (this.#isFinished) return
    const { queuedPushes, pushMutations } = this.#options.limits
    const writes = mutations.length
    if (writes > pushMutations) {
      throw new TideError('message_too_large', `A push has ${writes} writes; at most ${pushMutations} are taken.`)
    }
    if (this.#waiting.length >= queuedPushes) {
      this.#options.overrun(
        new TideError('rate_limited', `${queuedPushes} pushes wait already.`, { retryAfterMs: 1000 }),
      )
      return
    }
    if (!this.#options.input.take(bytes)) {
      this.#options.overrun(
        new TideError('rate_limited', `${this.#options.input.most} bytes of pushes and requests wait already.`, {
          retryAfterMs: 1000,
        }),
      )
      return
    }
    this.#waiting.push({ mutations, bytes })
    this.#serving ??= this.#serve()
  }

  /** What has not begun does not begin any more. */
  clear(): void {
    this.#release(this.#waiting.splice(0))
  }

  /** Begins nothing more: the client sends it again, elsewhere. Resolves when what has begun is answered. */
  async finish(): Promise<void> {
    this.#isFinished = true
    this.clear()
    await this.#serving
  }

  async #serve(): Promise<void> {
    for (let some = this.#take(); some.length > 0; some = this.#take()) {
      try {
        const outcomes = await this.#options.push(some.flatMap(({ mutations }) => mutations))
        let answered = 0
        for (const { mutations } of some) {
          this.#options.answered(outcomes.slice(answered, answered + mutations.length))
          answered += mutations.length
        }
      } catch (error) {
        // What waits behind it is out of order now; the client sends all of it again.
        this.clear()
        this.#options.refused(error)
      } finally {
        this.#release(some)
      }
    }
    this.#serving = undefined
  }

  #release(pushes: readonly Push[]): void {
    for (const { bytes } of pushes) this.#options.input.release(bytes)
  }

  /**
   * The next pushes that go together: each goes on where the one before ends. A repeat waits for the answer to the
   * first.
   */
  #take(): readonly Push[] {
    const next = this.#waiting.findIndex((push, index) => {
      const before = this.#waiting[index - 1]
      return before !== undefined && push.mutations[0]?.clientSeq !== (before.mutations.at(-1)?.clientSeq ?? 0) + 1
    })
    return this.#waiting.splice(0, Math.min(together, next < 0 ? this.#waiting.length : next))
  }
}
