// A migrated database of its own for a test file. The embedded one is a copy of a data folder that is made once per
// state of the migrations; the one on Postgres is cloned from a template database. Both take about a second.
import { createHash, randomUUID } from 'node:crypto'
import { constants, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { cp, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { openDatabase, type Database } from '../../server/db/db.ts'
import type { DatabaseConfig } from '../../server/config.ts'
import { dropSlots } from './postgres-admin.ts'
import { postgresUrl } from './services.ts'

export interface TestDatabase extends AsyncDisposable {
  readonly database: Database
  /** What `loadConfig` would have made of it, to open it a second time or to start a server on it. */
  readonly config: DatabaseConfig
  /** Postgres only. */
  readonly url?: string
  /** Closes it and removes its data. */
  close(): Promise<void>
}

export interface TestDatabaseOptions {
  /**
   * `embedded` when absent, but `postgres` in the project of those that run on both; `postgres` only in tests of suffix
   * `.pg`.
   */
  readonly kind?: 'embedded' | 'postgres'
  /** False: an empty database, to test migrations. */
  readonly migrated?: boolean
}

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Of what tests make once: nothing of it is put into the home of whoever runs them. */
export const testCache = join(root, 'node_modules/.cache/tidewire')

/** What a test of suffix `.pglite` runs on. */
export const usualKind = process.env['TEST_DATABASE'] === 'postgres' ? 'postgres' : 'embedded'

export async function createTestDatabase({
  kind = usualKind,
  migrated = true,
}: TestDatabaseOptions = {}): Promise<TestDatabase> {
  return kind === 'postgres' ? createOnPostgres(migrated) : createEmbedded(migrated)
}

async function createEmbedded(migrated: boolean): Promise<TestDatabase> {
  const dataDir = await copyOfTemplate(migrated)
  const config: DatabaseConfig = { kind: 'embedded', dataDir, poolSize: 8 }
  const database = await openDatabase({ database: config })
  const close = async (): Promise<void> => {
    await database.close()
    await rm(dirname(dataDir), { recursive: true, force: true })
  }
  return { database, config, close, [Symbol.asyncDispose]: close }
}

/**
 * A fresh data folder, ready to be opened: also for tests that start a server process on it. Remove its parent
 * afterwards.
 */
export async function copyOfTemplate(migrated = true): Promise<string> {
  const template = await embeddedTemplate(migrated)
  const dataDir = join(await mkdtemp(join(tmpdir(), 'tidewire-test-')), 'data')
  await cp(template, dataDir, { recursive: true, mode: constants.COPYFILE_FICLONE })
  return dataDir
}

async function embeddedTemplate(migrated: boolean): Promise<string> {
  const template = join(testCache, `pglite-${migrated ? migrationsHash() : 'empty'}`)
  if (existsSync(template)) return template
  mkdirSync(testCache, { recursive: true })
  const draft = await mkdtemp(`${template}.`)
  const database = await openDatabase({
    database: { kind: 'embedded', dataDir: draft, poolSize: 2, ...(migrated ? { cacheDir: testCache } : {}) },
  })
  if (migrated) await database.migrate()
  await database.close()
  // Another test process may have been quicker: its template is as good.
  await rename(draft, template).catch(() => rm(draft, { recursive: true, force: true }))
  return template
}

/** Makes an empty but migrated database on the shared cluster, for those who start a server process on it. */
export async function clonePostgresTemplate(name: string): Promise<void> {
  const admin = new pg.Client({ connectionString: postgresUrl() })
  await admin.connect()
  await admin.query(`create database ${name} template ${await postgresTemplate(admin)}`).finally(() => admin.end())
}

async function createOnPostgres(migrated: boolean): Promise<TestDatabase> {
  const admin = new pg.Client({ connectionString: postgresUrl() })
  await admin.connect()
  const name = `tw_${randomUUID().replaceAll('-', '')}`
  const template = migrated ? await postgresTemplate(admin) : 'template0'
  await admin.query(`create database ${name} template ${template}`)
  const url = databaseUrl(name)
  const config: DatabaseConfig = { kind: 'postgres', url, poolSize: 10, readUrls: [] }
  const database = await openDatabase({ database: config })
  const close = async (): Promise<void> => {
    await database.close()
    await dropSlots(admin, name)
    await admin.query(`drop database if exists ${name} with (force)`)
    await admin.end()
  }
  return { database, config, url, close, [Symbol.asyncDispose]: close }
}

async function postgresTemplate(admin: pg.Client): Promise<string> {
  const name = `tw_template_${migrationsHash()}`
  const lock = 7_164_902_332
  await admin.query('select pg_advisory_lock($1)', [lock])
  try {
    const { rowCount } = await admin.query('select 1 from pg_database where datname = $1 and datistemplate', [name])
    if (rowCount === 1) return name
    await admin.query(`drop database if exists ${name} with (force)`)
    await admin.query(`create database ${name} template template0`)
    const database = await openDatabase({
      database: { kind: 'postgres', url: databaseUrl(name), poolSize: 2, readUrls: [] },
    })
    await database.migrate()
    await database.close()
    await admin.query(`alter database ${name} is_template true`)
    return name
  } finally {
    await admin.query('select pg_advisory_unlock($1)', [lock])
  }
}

function databaseUrl(name: string): string {
  return Object.assign(new URL(postgresUrl()), { pathname: `/${name}` }).href
}

/**
 * Changes with everything that a migrated database depends on: migrations, and the declarations that shipped rows are
 * made of.
 */
function migrationsHash(): string {
  const hash = createHash('sha256')
  for (const folder of ['migrations', 'server/catalog', 'server/entities'].map((name) => join(root, name))) {
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort())
      if (/\.(ts|sql|json)$/.test(name)) hash.update(name).update(readFileSync(join(folder, name)))
  }
  hash.update(readFileSync(join(root, 'server/db/prepare.ts')))
  hash.update(readFileSync(join(root, 'node_modules/@electric-sql/pglite/package.json')))
  return hash.digest('hex').slice(0, 16)
}
