import type { PGliteInterface, Transaction } from '@electric-sql/pglite'

/** What the store needs of a PGlite. */
export interface PGliteLike extends Pick<PGliteInterface, 'query' | 'exec' | 'transaction' | 'close'> {
  /** Makes finished transactions durable where the file system does not by itself. */
  readonly flush?: () => Promise<void>
}

/** Runs SQL: a PGlite or one of its transactions. */
export type Executor = Pick<Transaction, 'query' | 'exec'>

/** A folder in Node, a name in browsers. */
export type PglitePlace = { readonly dir: string } | { readonly name: string }
