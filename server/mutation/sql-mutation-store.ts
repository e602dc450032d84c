import { DatabaseError, type Pool, type PoolClient } from 'pg'
import { backoffDelay } from '../../lib/backoff.ts'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { systemRandom, type Random } from '../../lib/random.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import { createHomes, type Homes } from '../scope/homes.ts'
import {
  CommitRefusedError,
  StatementFailedError,
  StoreUnavailableError,
  type MutationStore,
} from './mutation-store.ts'
import { beginSql } from './mutation.sql.ts'
import { RowTakenError, SqlMutationTransaction } from './sql-mutation-transaction.ts'
import { isTransient, toWriteRefusal } from './sql-refusal.ts'

export interface SqlMutationStoreOptions {
  readonly pool: Pool
  readonly catalog: Catalog
  readonly clock?: Clock
  readonly random?: Random
}

/** Retries after deadlocks, serialization failures and lost connections, with their pauses. */
const retries = 3
const backoff = { minMs: 20, maxMs: 500 }

/** The mutations room's store on Postgres or PGlite. */
export function createSqlMutationStore({
  pool,
  catalog,
  clock = systemClock,
  random = systemRandom,
}: SqlMutationStoreOptions): MutationStore {
  const homes = createHomes(catalog)
  return {
    async transaction(principal, work) {
      for (let attempt = 0; ; attempt++) {
        try {
          return await once({ pool, catalog, homes, isLastAttempt: attempt === retries }, principal, work)
        } catch (error) {
          if (!(error instanceof RowTakenError || isTransient(error)))
            throw error instanceof DatabaseError ? failed(error) : error
          if (attempt === retries)
            throw new StoreUnavailableError(`The database failed ${retries + 1} times: ${String(error)}`, {
              cause: error,
            })
        }
        await new Promise<void>((resume) => clock.after(backoffDelay(backoff, attempt, random), resume))
      }
    },
  }
}

interface Parts {
  readonly pool: Pool
  readonly catalog: Catalog
  readonly homes: Homes
  readonly isLastAttempt: boolean
}

async function once<T>(
  parts: Parts,
  principal: DevicePrincipal,
  work: (transaction: SqlMutationTransaction) => Promise<T>,
): Promise<T> {
  const client = await parts.pool.connect()
  // A connection that breaks says so twice: to the query that waits, and as an event that would end the process.
  client.on('error', ignore)
  try {
    await client.query(beginSql(settingsOf(principal)))
    const result = await work(new SqlMutationTransaction({ ...parts, client, principal }))
    await commit(client)
    release(client, false)
    return result
  } catch (error) {
    // A connection that cannot roll back is of no use to anyone.
    await client.query('rollback').then(
      () => release(client, false),
      () => release(client, true),
    )
    throw error
  }
}

function release(client: PoolClient, isBroken: boolean): void {
  client.off('error', ignore)
  client.release(isBroken)
}

function ignore(): void {}

async function commit(client: PoolClient): Promise<void> {
  try {
    await client.query('commit')
  } catch (error) {
    const refusal = error instanceof DatabaseError ? toWriteRefusal(error, error.table ?? 'The commit') : undefined
    throw refusal ? new CommitRefusedError(refusal, { cause: error }) : error
  }
}

function failed(error: DatabaseError): StatementFailedError {
  return new StatementFailedError(`${error.code ?? ''} ${error.message}`, { cause: error })
}

/** `app.mutation_id` stays empty: one statement may carry many mutations. Marks say which were in a commit. */
function settingsOf({ organizationId, kind, id, deviceId }: DevicePrincipal): Readonly<Record<string, string>> {
  return {
    'app.organization_id': organizationId,
    'app.device_id': deviceId,
    'app.user_id': kind === 'user' ? id : '',
    'app.agent_id': kind === 'agent' ? id : '',
    'app.mutation_id': '',
  }
}
