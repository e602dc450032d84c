/**
 * Typed access to every table for code that runs in the server: jobs, actions, applications that embed it. A unit is
 * one transaction on somebody's behalf; repositories read and write single tables inside of it.
 *
 *     withUnit(actor, work) ─▶ transaction {app.* settings} ─▶ Unit ─▶ repositories ─▶ MikroORM ─▶ the same connection
 *
 * Clients never come here: what they write is decided by the mutations room. What is written here is captured and
 * synced like any other commit.
 */
import type { EntityManager } from '@mikro-orm/postgresql'
import pg from 'pg'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { systemRandom, type Random } from '../../lib/random.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Database } from '../db/db.ts'
import { createHomes } from '../scope/homes.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import {
  DatabaseUnavailableError,
  inTransaction,
  type Transaction,
  type TransactionOptions,
} from '../scope/transaction.ts'
import { FewRows } from '../search/few-rows.ts'
import { settingsOf, type Actor } from './actor.ts'
import { Unit } from './unit.ts'
import { toUnitError } from './write-error.ts'

export type { Actor } from './actor.ts'
export type { Unit } from './unit.ts'

export interface UnitOptions {
  /** Cancels the unit: the statement under way ends, nothing is committed, and the call throws the signal's reason. */
  readonly signal?: AbortSignal
  /** Nothing is written. Runs on one of DATABASE_READ_URLS where there are any, which may be a little behind. */
  readonly readOnly?: boolean
  /** Default: read committed. */
  readonly isolation?: 'repeatable read' | 'serializable'
}

export interface Repositories {
  /**
   * Runs `work` in one transaction on the actor's behalf, commits when it returns and rolls back when it throws. After
   * a serialization failure, a deadlock or a lost connection it runs again, three times with growing pauses, so `work`
   * keeps nothing outside. Throws what `work` threw, the signal's reason, or `database_unreachable`.
   */
  withUnit<T>(actor: Actor, work: (unit: Unit) => Promise<T>, options?: UnitOptions): Promise<T>
}

export interface RepositoriesOptions {
  readonly database: Database
  readonly catalog: Catalog
  readonly clock?: Clock
  readonly random?: Random
  /** Something may have been committed. */
  readonly onCommitted?: () => void
}

/** Connects to nothing before the first unit. */
export function createRepositories({
  database,
  catalog,
  clock = systemClock,
  random = systemRandom,
  onCommitted = () => undefined,
}: RepositoriesOptions): Repositories {
  const homes = createHomes(catalog)
  const few = new FewRows(clock)
  let lastDelete = 0
  const deleteTime = (): string => {
    lastDelete = Math.max(clock.now(), lastDelete + 1)
    return new Date(lastDelete).toISOString()
  }
  // A statement of the embedded database cannot be cancelled; the unit ends before the next one.
  const cancelIn = ({ options }: pg.Pool): TransactionOptions['cancel'] =>
    database.embedded ? undefined : (backend) => cancelBackend(options, backend)
  return {
    async withUnit(actor, work, { signal, isolation, readOnly = false } = {}) {
      // Before the transaction: it must not wait for a connection of its own while the unit holds the only one.
      const [orm, { asOrmTransaction, ormTypes }] = await Promise.all([database.orm(), import('./held-connection.ts')])
      const open = async ({ client }: Transaction): Promise<Unit> => {
        const check = (): void => signal?.throwIfAborted()
        const context = await asOrmTransaction(client, check)
        const fork = (): EntityManager => {
          const em = orm.em.fork()
          em.setTransactionContext(context)
          return em
        }
        const query: SqlQuery = async <R extends object>({ values = [], ...statement }: Parameters<SqlQuery>[0]) => {
          check()
          return (await client.query<R>({ ...statement, values: [...values] })).rows
        }
        return new Unit({ em: fork(), query, ormTypes, few, catalog, homes, actor, deleteTime }, fork, signal)
      }
      const run = (options: Pick<TransactionOptions, 'pool' | 'readOnly'>) =>
        inTransaction(
          { ...options, clock, random, signal, isolation, cancel: cancelIn(options.pool) },
          settingsOf(actor),
          async (transaction) => {
            const unit = await open(transaction)
            const answer = await work(unit)
            await unit.flush()
            return answer
          },
        )
      try {
        if (readOnly) return await readIn(database, (pool) => run({ pool, readOnly: true }))
        const result = await run({ pool: database.pool })
        onCommitted()
        return result
      } catch (error) {
        throw signal?.aborted === true ? error : toUnitError(error)
      }
    },
  }
}

/** On a replica, or on the primary when that one is away. */
async function readIn<T>(database: Database, read: (on: pg.Pool) => Promise<T>): Promise<T> {
  const replica = database.readPool()
  try {
    return await read(replica)
  } catch (error) {
    if (replica === database.pool || !(error instanceof DatabaseUnavailableError)) throw error
    return read(database.pool)
  }
}

/** Over a connection of its own: the pool may have none to spare. */
async function cancelBackend(connection: pg.ClientConfig, backend: number): Promise<void> {
  const client = new pg.Client(connection)
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query('select pg_cancel_backend($1)', [backend])
  } finally {
    await client.end()
  }
}
