import type { PGliteInterface, Transaction } from '@electric-sql/pglite'

/** What the store needs of a PGlite, in this thread or behind a worker. */
export interface PGliteLike extends Pick<PGliteInterface, 'query' | 'exec' | 'transaction' | 'close'> {
  /** Makes finished transactions durable where the file system does not by itself. */
  readonly flush?: () => Promise<void>
  /**
   * Only of a database that others serve: whether this error means that the one who did is gone, so that nobody knows
   * what became of the work; another has taken over and can be asked.
   */
  readonly wasInterrupted?: (error: unknown) => boolean
}

/** Runs SQL: a PGlite or one of its transactions. */
export type Executor = Pick<Transaction, 'query' | 'exec'>

/** A folder in Node, a name in browsers. `tables`: how many the schema has. */
export type PglitePlace = { readonly dir: string } | { readonly name: string; readonly tables: number }
