import { identifier } from './pglite-ddl.ts'
import type { PGliteLike } from './pglite-like.ts'

/** Rows written to a table before the space of their former versions is worth taking back. */
const dueAfter = 10_000

/** PGlite has no autovacuum: without this a replica that changes much would grow for ever. */
export class Vacuum {
  readonly #database: PGliteLike
  readonly #written = new Map<string, number>()
  #running: Promise<void> | undefined

  constructor(database: PGliteLike) {
    this.#database = database
  }

  /** Notes that rows of a table of schema `public` were written or removed. */
  wrote(table: string, rows: number): void {
    this.#written.set(table, (this.#written.get(table) ?? 0) + rows)
  }

  /** Starts to tidy the tables that need it, unless that is under way. Commits and reads come in between. */
  start(): void {
    const isDue = [...this.#written.values()].some((rows) => rows >= dueAfter)
    if (isDue) this.#running ??= this.#run()
  }

  async idle(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    for (const [table, rows] of [...this.#written]) {
      if (rows < dueAfter) continue
      this.#written.set(table, 0)
      // It can wait for the next time: whatever fails here, no data is lost by it.
      await this.#database.exec(`vacuum (analyze) public.${identifier(table)}`).catch(() => {})
    }
    this.#running = undefined
  }
}
