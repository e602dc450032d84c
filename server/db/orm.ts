import { fileURLToPath } from 'node:url'
import { MikroORM, type Options } from '@mikro-orm/postgresql'
import pg from 'pg'
import { prepare } from './prepare.ts'

/** Held while migrations run, so that servers that start together do not migrate together. Any constant does. */
const migrationLock = 7_164_902_331

const root = fileURLToPath(new URL('../..', import.meta.url))

/** MikroORM over the given connection settings. Loads all entities, which takes a moment: hence only at first use. */
export async function openOrm(connection: pg.ClientConfig): Promise<MikroORM> {
  const { default: config } = await import('../../mikro-orm.config.ts')
  const migrations = { ...config.migrations, path: `${root}migrations`, pathTs: `${root}migrations` }
  // Migrations and failures are reported by whoever asked for them; the ORM itself says nothing.
  const options: Options = {
    ...config,
    ...toOrmConnection(connection),
    migrations,
    logger: () => undefined,
    baseDir: root,
    pool: { min: 0, max: 4 },
  }
  return MikroORM.init(options)
}

function toOrmConnection({ connectionString, host, port, user, database }: pg.ClientConfig): Options {
  if (connectionString !== undefined) {
    const name = decodeURIComponent(new URL(connectionString).pathname.slice(1))
    return { clientUrl: connectionString, ...(name ? { dbName: name } : {}) }
  }
  return {
    host: host ?? '',
    port: port ?? 5432,
    user: user ?? 'postgres',
    dbName: database ?? 'postgres',
    password: '',
  }
}

export async function migrateUp(
  orm: MikroORM,
  connection: pg.ClientConfig,
  onProgress?: (migration: string) => void,
  embeddingDimension?: number,
): Promise<readonly string[]> {
  return alone(connection, async () => {
    const done: string[] = []
    for (;;) {
      const [next] = await orm.migrator.getPending()
      if (!next) break
      onProgress?.(next.name)
      await orm.migrator.up({ migrations: [next.name] })
      done.push(next.name)
    }
    await prepare(connection, embeddingDimension)
    return done
  })
}

export async function rollbackOne(orm: MikroORM, connection: pg.ClientConfig): Promise<string | undefined> {
  return alone(connection, async () => {
    const newest = (await orm.migrator.getExecuted()).at(-1)
    if (!newest) return undefined
    await orm.migrator.down({ migrations: [newest.name] })
    return newest.name
  })
}

/** Runs with the migration lock held. A session lock: a crash frees it. */
async function alone<T>(connection: pg.ClientConfig, run: () => Promise<T>): Promise<T> {
  const client = new pg.Client(connection)
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [migrationLock])
    return await run()
  } finally {
    await client.query('select pg_advisory_unlock($1)', [migrationLock]).catch(() => undefined)
    await client.end()
  }
}
