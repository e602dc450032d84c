import type { TideError } from '../../protocol/error.ts'
import type { Executor, PGliteLike } from './pglite-like.ts'
import { storeError } from './store-error.ts'

interface Waiting {
  readonly apply: (transaction: Executor) => Promise<void>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Commits one after the other in the order of the calls, each in a transaction of its own.
 *
 * Where durability takes a flush, all commits that wait go in one round: their transactions, then one flush for all.
 * When a flush fails, the database has in memory what its file has not, and a later flush would make durable what was
 * called failed: so it is broken from then on, until it is opened anew from the file.
 */
export class CommitQueue {
  readonly #database: PGliteLike
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined
  #broken: TideError | null = null

  constructor(database: PGliteLike) {
    this.#database = database
  }

  /** Why nothing can be read or written any more; null: it can. */
  get broken(): TideError | null {
    return this.#broken
  }

  add(apply: (transaction: Executor) => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ apply, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Resolves when nothing is under way any more. */
  async idle(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const size = this.#database.flush === undefined ? 1 : this.#waiting.length
      await this.#round(this.#waiting.splice(0, size))
    }
    this.#running = undefined
  }

  async #round(round: readonly Waiting[]): Promise<void> {
    const done: Waiting[] = []
    for (const waiting of round) {
      try {
        if (this.#broken !== null) throw this.#broken
        await this.#database.transaction(waiting.apply)
        done.push(waiting)
      } catch (error) {
        waiting.reject(storeError('The replica could not be written', error))
      }
    }
    try {
      if (done.length > 0) await this.#database.flush?.()
      for (const { resolve } of done) resolve()
    } catch (error) {
      this.#broken = storeError('The replica could not be written to its file', error)
      for (const { reject } of done) reject(this.#broken)
    }
  }
}
