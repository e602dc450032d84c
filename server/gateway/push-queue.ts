import { TideError } from '../../protocol/error.ts'
import type { Outcome } from '../../protocol/messages/mutation.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import type { Limits } from '../config.ts'

type Push = UpOf<'push'>

export interface PushQueueOptions {
  readonly limits: Pick<Limits, 'queuedPushes' | 'pushMutations'>
  readonly push: (mutations: Push['mutations']) => Promise<readonly Outcome[]>
  readonly answered: (outcomes: readonly Outcome[]) => void
  /** The push was refused as a whole. */
  readonly refused: (error: unknown) => void
  /** Too many wait. Dropping one would break the order of the device's writes: the connection must begin anew. */
  readonly overrun: (error: TideError) => void
}

/** The pushes of one session: one after the other, in the order they came, and only so many waiting. */
export class PushQueue {
  readonly #options: PushQueueOptions
  readonly #waiting: Push[] = []
  #serving: Promise<void> | undefined
  #isFinished = false

  constructor(options: PushQueueOptions) {
    this.#options = options
  }

  /** Throws `message_too_large`. */
  add(push: Push): void {
    if (this.#isFinished) return
    const { queuedPushes, pushMutations } = this.#options.limits
    const writes = push.mutations.length
    if (writes > pushMutations) {
      throw new TideError('message_too_large', `A push has ${writes} writes; at most ${pushMutations} are taken.`)
    }
    if (this.#waiting.length >= queuedPushes) {
      this.#options.overrun(
        new TideError('rate_limited', `${queuedPushes} pushes wait already.`, { retryAfterMs: 1000 }),
      )
      return
    }
    this.#waiting.push(push)
    this.#serving ??= this.#serve()
  }

  /** What has not begun does not begin any more. */
  clear(): void {
    this.#waiting.length = 0
  }

  /** Begins nothing more: the client sends it again, elsewhere. Resolves when what has begun is answered. */
  async finish(): Promise<void> {
    this.#isFinished = true
    this.clear()
    await this.#serving
  }

  async #serve(): Promise<void> {
    for (let push = this.#waiting.shift(); push; push = this.#waiting.shift()) {
      try {
        this.#options.answered(await this.#options.push(push.mutations))
      } catch (error) {
        // What waits behind it is out of order now; the client sends all of it again.
        this.clear()
        this.#options.refused(error)
      }
    }
    this.#serving = undefined
  }
}
