import { DatabaseError, type Pool } from 'pg'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { systemRandom, type Random } from '../../lib/random.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { isOtherSchema } from '../db/db.ts'
import { CommitFailedError, DatabaseUnavailableError, inDeviceTransaction } from '../scope/device-transaction.ts'
import { createHomes } from '../scope/homes.ts'
import { CommitRefusedError, StatementFailedError, type MutationStore } from './mutation-store.ts'
import { RowTakenError, SqlMutationTransaction, UnprotectedWriteError } from './sql-mutation-transaction.ts'
import { toWriteRefusal } from '../db/sql-refusal.ts'

export interface SqlMutationStoreOptions {
  readonly pool: Pool
  readonly catalog: Catalog
  readonly clock?: Clock
  readonly random?: Random
  /** As in `TransactionOptions`. */
  readonly statementTimeoutMs?: number | undefined
}

/** The mutations room's store on Postgres or PGlite. */
export function createSqlMutationStore({
  pool,
  catalog,
  clock = systemClock,
  random = systemRandom,
  statementTimeoutMs,
}: SqlMutationStoreOptions): MutationStore {
  const homes = createHomes(catalog)
  const retryAfter = (error: unknown): boolean => error instanceof RowTakenError
  return {
    async transaction(principal, work) {
      const run = (savepoints: boolean): ReturnType<typeof work> =>
        inDeviceTransaction({ pool, clock, random, retryAfter, statementTimeoutMs }, principal, (transaction) =>
          work(new SqlMutationTransaction({ ...transaction, catalog, homes, principal, savepoints })),
        )
      try {
        // Few pushes hold a write that the database refuses: only those pay for savepoints, and are run twice.
        return await run(false).catch((error: unknown) => {
          if (error instanceof UnprotectedWriteError) return run(true)
          throw error
        })
      } catch (error) {
        throw toStoreError(error)
      }
    },
  }
}

function toStoreError(error: unknown): unknown {
  // Nothing is wrong with the write: it waits on its device until the table is as it was.
  if (isOtherSchema(error))
    return new DatabaseUnavailableError('The tables are not as they should be.', { cause: error })
  if (error instanceof CommitFailedError) {
    const refusal = toWriteRefusal(error.refusal, error.refusal.table ?? 'The commit')
    return refusal ? new CommitRefusedError(refusal, { cause: error }) : failed(error.refusal)
  }
  return error instanceof DatabaseError ? failed(error) : error
}

function failed(error: DatabaseError): StatementFailedError {
  return new StatementFailedError(`${error.code ?? ''} ${error.message}`, { cause: error })
}
