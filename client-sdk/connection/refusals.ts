import { Listeners } from '../../lib/listeners.ts'
import type { TideError } from '../../protocol/error.ts'

/**
 * Which subscriptions the server refuses for good. Listeners are told of each, and when it is taken after all (null).
 */
export class Refusals {
  readonly #listeners = new Listeners<{ readonly id: string; readonly error: TideError | null }>()
  readonly #refused = new Map<string, TideError>()

  /** What is refused now, by subscription. */
  get all(): ReadonlyMap<string, TideError> {
    return this.#refused
  }

  add(listener: (id: string, error: TideError | null) => void): () => void {
    return this.#listeners.add(({ id, error }) => listener(id, error))
  }

  tell(id: string, error: TideError | null): void {
    const wasRefused = this.#refused.delete(id)
    if (error !== null) this.#refused.set(id, error)
    if (wasRefused || error !== null) this.#listeners.tell({ id, error })
  }
}
