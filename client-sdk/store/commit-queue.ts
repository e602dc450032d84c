import { systemRandom } from '../../lib/random.ts'
import { toBase64 } from '../../protocol/rows/base64.ts'
import type { Executor, PGliteLike } from './pglite-like.ts'

interface Waiting {
  readonly number: number
  readonly apply: (transaction: Executor) => Promise<void>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Commits one after the other in the order of the calls, each in a transaction of its own.
 *
 * Where durability takes a flush, all commits that wait go in one round: their transactions, then one flush for all.
 *
 * Where the database runs in another tab, that tab may go at any moment, and with it whatever was not flushed. The round
 * is then run again by the tab that takes over; a mark in the database tells which of its commits had come through.
 */
export class CommitQueue {
  readonly #database: PGliteLike
  readonly #me = toBase64(systemRandom.bytes(12))
  #count = 0
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined

  constructor(database: PGliteLike) {
    this.#database = database
  }

  add(apply: (transaction: Executor) => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#count += 1
      this.#waiting.push({ number: this.#count, apply, resolve, reject })
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
    const failed = new Set<Waiting>()
    try {
      await again(this.#database, async () => {
        for (const waiting of round) if (!failed.has(waiting)) await this.#commit(waiting, failed)
        await this.#database.flush?.()
      })
      for (const waiting of round) if (!failed.has(waiting)) waiting.resolve()
    } catch (error) {
      for (const waiting of round) if (!failed.has(waiting)) waiting.reject(error)
    }
  }

  async #commit(waiting: Waiting, failed: Set<Waiting>): Promise<void> {
    try {
      await this.#database.transaction(async (transaction) => {
        if (this.#database.wasInterrupted === undefined) return waiting.apply(transaction)
        if (await this.#hasCome(transaction, waiting.number)) return
        await waiting.apply(transaction)
        await this.#mark(transaction, waiting.number)
      })
    } catch (error) {
      if (this.#database.wasInterrupted?.(error) === true) throw error
      failed.add(waiting)
      waiting.reject(error)
    }
  }

  async #hasCome(transaction: Executor, number: number): Promise<boolean> {
    const text = 'select 1 from tidewire.local_commits where tab = $1 and number >= $2'
    const { rows } = await transaction.query(text, [this.#me, number])
    return rows.length > 0
  }

  async #mark(transaction: Executor, number: number): Promise<void> {
    const text = `insert into tidewire.local_commits (tab, number) values ($1, $2)
      on conflict (tab) do update set number = excluded.number, at = now()`
    await transaction.query(text, [this.#me, number])
  }
}

/** Runs `work`, and runs it again when the tab that served it has gone meanwhile. */
export async function again<T>(database: PGliteLike, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (database.wasInterrupted?.(error) !== true) throw error
    }
  }
}
