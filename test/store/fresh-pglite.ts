import { PGlite } from '@electric-sql/pglite'
import { vector } from '@electric-sql/pglite-pgvector'
import type { PGliteLike } from '../../client-sdk/store/pglite-like.ts'

export interface SharedPglite {
  /** As it is, or was left by the last store; closing it does nothing. */
  readonly database: PGliteLike
  /** Empties it. */
  wipe(): Promise<void>
  close(): Promise<void>
}

/** One PGlite in memory for all tests of a file: a boot takes seconds, emptying it milliseconds. */
export async function sharePglite(): Promise<SharedPglite> {
  const pglite = await PGlite.create({ extensions: { vector } })
  return {
    database: {
      query: pglite.query.bind(pglite),
      exec: pglite.exec.bind(pglite),
      transaction: pglite.transaction.bind(pglite),
      close: async () => {},
    },
    wipe: async () => {
      await pglite.exec('drop schema if exists tidewire cascade; drop schema public cascade; create schema public')
    },
    close: () => pglite.close(),
  }
}
