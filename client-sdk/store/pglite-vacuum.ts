import { identifier } from './pglite-ddl.ts'
import type { PGliteLike } from './pglite-like.ts'

/** Rows written to all tables together before it is worth looking which of them need it. */
const lookAfter = 10_000

/** Former versions of rows in a table before their space is worth taking back. */
const dueAfter = 10_000

/**
 * What an earlier run left is known to nobody: PGlite forgets its statistics when it ends. So tables above this size
 * are tidied once in each run; those that need it not are passed over quickly. Bytes.
 */
const worthIt = 1_000_000

interface Target {
  readonly schema: string
  readonly table: string
}

/** PGlite has no autovacuum: without this a replica that changes much would grow for ever. */
export class Vacuum {
  readonly #database: PGliteLike
  #written = 0
  #isFirst = true
  #running: Promise<void> | undefined

  constructor(database: PGliteLike) {
    this.#database = database
  }

  /** Notes that rows of any table were written or removed; infinite: nobody has counted them. */
  wrote(rows: number): void {
    this.#written += rows
  }

  /** Starts to tidy the tables that need it, unless that is under way. Commits and reads come in between. */
  start(): void {
    if (this.#isFirst || this.#written >= lookAfter) this.#running ??= this.#run()
  }

  async idle(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    const isFirst = this.#isFirst
    this.#isFirst = false
    this.#written = 0
    try {
      for (const { schema, table } of isFirst ? await this.#large() : await this.#due())
        await this.#database.exec(`vacuum (analyze) ${identifier(schema)}.${identifier(table)}`)
    } catch {
      // It can wait for the next time: whatever fails here, no data is lost by it.
    }
    this.#running = undefined
  }

  async #large(): Promise<readonly Target[]> {
    const text = `select schemaname as schema, relname as table from pg_stat_user_tables where pg_table_size(relid) >= $1`
    return (await this.#database.query<Target>(text, [worthIt])).rows
  }

  /** By the statistics of the database, which also know what no commit could count: rows that a purge removed. */
  async #due(): Promise<readonly Target[]> {
    await this.#database.exec('select pg_stat_force_next_flush()')
    const text = `select schemaname as schema, relname as table from pg_stat_user_tables where n_dead_tup >= $1`
    return (await this.#database.query<Target>(text, [dueAfter])).rows
  }
}
