import { fileURLToPath } from 'node:url'
import config from '../../mikro-orm.config.ts'
import { MikroORM, type Options } from '@mikro-orm/postgresql'
import type pg from 'pg'
import { entities } from '../entities/entities.ts'
import { databaseOf } from './database-url.ts'
import { migrationList, type OwnSchema } from './own-schema.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** MikroORM over the given connection settings. */
export async function openOrm(connection: pg.ClientConfig, own: OwnSchema = {}): Promise<MikroORM> {
  const migrations = {
    ...config.migrations,
    path: `${root}migrations`,
    pathTs: `${root}migrations`,
    ...(own.migrations?.length ? { migrationsList: [...(await migrationList(own))] } : {}),
  }
  // Migrations and failures are reported by whoever asked for them; the ORM itself says nothing.
  const options: Options = {
    ...config,
    entities: [...entities, ...(own.entities ?? [])],
    ...toOrmConnection(connection),
    migrations,
    logger: () => undefined,
    baseDir: root,
    // Whoever opens this has looked already; a connection for it would wait for units that hold the embedded database.
    ensureDatabase: false,
    pool: { min: 0, max: 4 },
  }
  return MikroORM.init(options)
}

/**
 * For pg as they are: of a URL the ORM would take neither the query, which says what TLS has to be and may name a
 * socket, nor the time-outs beside it.
 */
function toOrmConnection(connection: pg.ClientConfig): Options {
  const { connectionString, database = 'postgres' } = connection
  const named = connectionString === undefined ? undefined : databaseOf(connectionString)
  return { dbName: named ?? database, driverOptions: { ...connection } }
}
