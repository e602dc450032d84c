import {
  CompiledQuery,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type ControlledTransaction,
  type DatabaseConnection,
  type Driver,
  type QueryResult,
} from 'kysely'
import { createPostgreSqlTypeParsers } from '@mikro-orm/postgresql'
import pg from 'pg'

/**
 * A transaction that somebody else has begun on `client`, and ends, as MikroORM takes one: its statements run there,
 * and its savepoints are savepoints. `check` is asked before each statement and may throw.
 */
export async function asOrmTransaction(
  client: pg.ClientBase,
  check: () => void,
): Promise<ControlledTransaction<unknown>> {
  const connection = heldConnection(client, check)
  const driver = driverOf(connection)
  const kysely = new Kysely<unknown>({
    dialect: {
      createDriver: () => driver,
      createAdapter: () => new PostgresAdapter(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
  return kysely.startTransaction().execute()
}

function heldConnection(client: pg.ClientBase, check: () => void): DatabaseConnection {
  return {
    async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
      check()
      const { command, rowCount, rows } = await client.query({ text: sql, values: [...parameters], types: ormTypes })
      const changed = ['INSERT', 'UPDATE', 'DELETE', 'MERGE'].includes(command)
      return { rows, ...(changed ? { numAffectedRows: BigInt(rowCount ?? 0) } : {}) }
    },
    // oxlint-disable-next-line require-yield
    async *streamQuery() {
      throw new Error('Rows are not streamed inside of a unit; read them page by page.')
    },
  }
}

/** Nothing to begin, to commit or to give back: whoever holds the connection does that. */
function driverOf(connection: DatabaseConnection): Driver {
  const nothing = async (): Promise<void> => undefined
  const run = async (sql: string): Promise<void> => {
    await connection.executeQuery(CompiledQuery.raw(sql))
  }
  return {
    init: nothing,
    acquireConnection: async () => connection,
    beginTransaction: nothing,
    commitTransaction: nothing,
    rollbackTransaction: nothing,
    savepoint: (_, name) => run(`savepoint ${pg.escapeIdentifier(name)}`),
    rollbackToSavepoint: (_, name) => run(`rollback to savepoint ${pg.escapeIdentifier(name)}`),
    releaseSavepoint: (_, name) => run(`release savepoint ${pg.escapeIdentifier(name)}`),
    releaseConnection: nothing,
    destroy: nothing,
  }
}

/** Not on the list of @types/pg: `text[]`. */
const textArrayType = 1009 as Parameters<typeof pg.types.getTypeParser>[0]

/** Values as the ORM's own connections hand them to its types: dates and intervals as text. */
export const ormTypes: pg.CustomTypesConfig = (() => {
  const textArray = pg.types.getTypeParser(textArrayType) as (text: string) => string[]
  const ofOrm = createPostgreSqlTypeParsers((text) => textArray(text))
  return {
    getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
      ofOrm[oid] ?? pg.types.getTypeParser(oid, format)) as pg.CustomTypesConfig['getTypeParser'],
  }
})()
