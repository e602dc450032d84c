import type { Clock } from '../../lib/clock.ts'

/** One push from its coming until it has been read back from the log. */
export interface WatchedPush {
  /** `clock.monotonic()`; undefined: the commit has not been answered yet. */
  committedAt?: number
}

/**
 * Finds the pushes of this server in the steps that bring them back, by the id of their first write. Bounded in number
 * and time: what never comes back (a push of repeats commits nothing) is forgotten.
 */
export class CommitWatch<P extends WatchedPush> {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #most: number
  readonly #longestMs: number
  readonly #pushes = new Map<string, { readonly push: P; readonly since: number }>()

  constructor(clock: Pick<Clock, 'monotonic'>, { most = 5000, longestMs = 60_000 } = {}) {
    this.#clock = clock
    this.#most = most
    this.#longestMs = longestMs
  }

  get size(): number {
    return this.#pushes.size
  }

  add(mutationId: string, push: P): void {
    const since = this.#clock.monotonic()
    for (const [id, oldest] of this.#pushes) {
      if (this.#pushes.size < this.#most && since - oldest.since < this.#longestMs) break
      this.#pushes.delete(id)
    }
    this.#pushes.set(mutationId, { push, since })
  }

  forget(mutationId: string): void {
    this.#pushes.delete(mutationId)
  }

  /** The pushes that came back; each is told once. */
  take(marks: readonly { readonly mutationId: string }[]): readonly P[] {
    if (this.#pushes.size === 0) return []
    return marks.flatMap(({ mutationId }) => {
      const found = this.#pushes.get(mutationId)
      if (!found) return []
      this.#pushes.delete(mutationId)
      return [found.push]
    })
  }
}
