import { errorText } from '../telemetry/telemetry.ts'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { lockFolder } from '../../lib/folder-lock.ts'
import { TideError } from '../../protocol/error.ts'
import type { DatabaseConfig } from '../config.ts'
import type { EncryptionKey } from '../credentials/credentials.ts'
import { databaseOf, openDatabase, type Database } from '../db/db.ts'
import { alone, readIntegrity } from '../maintenance/maintenance.ts'
import { failed, unreadable } from './backup-error.ts'
import { openBackup, readHead, type OpenedBackup } from './backup-file.ts'
import { beginRun, endRun, newestBackup } from './backup-runs.ts'
import type { BackupOptions } from './make-backup.ts'
import { unpackFolder } from './embedded-copy.ts'
import { requireProgram, restorePostgres, type Programs } from './postgres-programs.ts'
import { compareCounts, countRows, type RowCounts } from './row-counts.ts'

export interface RestoreTest {
  readonly id: string
  readonly location: string
  readonly rowCounts: RowCounts
  /** Tables whose rows are not as many as were saved; empty: all are. */
  readonly differences: readonly string[]
  /** What the integrity check found in what was restored; it was the same in what was saved. */
  readonly problems: number
}

interface Reading {
  readonly keys: readonly EncryptionKey[]
  readonly programs: Programs
  readonly onProgress?: (text: string) => void
  readonly signal?: AbortSignal
}

/** A database that was made from a backup, apart from all others. */
interface Restored {
  readonly database: Database
  readonly settings: DatabaseConfig
  readonly rowCounts: RowCounts
  readonly differences: readonly string[]
}

/**
 * Restores a backup into a database of its own, compares the rows of every table with those that were saved, checks it,
 * and drops it. Without `location` the newest backup. Undefined: another server is at it. Errors: `backup_unreadable`,
 * `backup_failed`, `secret_unreadable`, `program_missing`.
 */
export async function testRestore(
  options: Pick<BackupOptions, 'database' | 'settings' | 'dir' | 'keys' | 'programs' | 'onProgress' | 'signal'>,
  location?: string,
): Promise<RestoreTest | undefined> {
  const { pool } = options.database
  const recorded = await newestBackup(pool, location)
  const path = location ?? recorded?.location
  if (path === undefined)
    throw failed('There is no backup to test', 'Make one with `npx tidewire backup`, or name the file.')
  const { keyId } = await headOf(path)
  return alone(pool, 'restore_test', async () => {
    const id = await beginRun(pool, {
      kind: 'restore_test',
      location: path,
      encryptedWith: keyId,
      tested: recorded?.id ?? null,
    })
    let rowCounts: RowCounts = {}
    try {
      if (recorded?.sha256) await compareSum(path, recorded.sha256)
      await using held = new AsyncDisposableStack()
      const restored = await restoreApart(path, options.settings, options, held, options.dir)
      rowCounts = restored.rowCounts
      options.onProgress?.('Checking')
      const looks = await readIntegrity(restored.database.pool)
      const problems = looks.reduce((sum, look) => sum + look.problems, 0)
      const { differences } = restored
      await endRun(pool, id, { rowCounts, ...(differences.length === 0 ? {} : { error: differences.join('\n') }) })
      return { id, location: path, rowCounts, differences, problems }
    } catch (error) {
      await endRun(pool, id, { rowCounts, error: errorText(error) })
      throw error
    }
  })
}

/**
 * Puts a backup in the place of the configured database, which must be empty or not there unless `replace` is set; what
 * was there is kept under another name. No server may run. The database gets a new epoch, so that replicas load their
 * channels anew. Answers the name of what was there; null: nothing was.
 */
export async function restoreBackup(
  path: string,
  settings: DatabaseConfig,
  options: Reading & { readonly replace: boolean; readonly stamp: string },
): Promise<{ readonly rowCounts: RowCounts; readonly kept: string | null }> {
  const { kind } = await headOf(path)
  if (kind !== settings.kind)
    throw failed(
      `The backup is of ${kind === 'embedded' ? 'an embedded database' : 'Postgres'}, and DATABASE_URL is ${settings.kind === 'embedded' ? 'not set' : 'set'}`,
      'Restore it into a database of its own kind.',
    )
  return settings.kind === 'postgres'
    ? replacePostgres(path, settings, options)
    : replaceEmbedded(path, settings, options)
}

async function headOf(path: string): ReturnType<typeof readHead> {
  if (!existsSync(path)) throw failed(`There is no file ${path}`)
  return readHead(path)
}

async function compareSum(path: string, wanted: Buffer): Promise<void> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  if (!hash.digest().equals(wanted)) throw unreadable('is not the file that was written: its checksum differs')
}

async function restoreApart(
  path: string,
  settings: DatabaseConfig,
  options: Reading,
  held: AsyncDisposableStack,
  beside: string,
): Promise<Restored> {
  const backup = await openBackup(path, options.keys)
  held.defer(() => backup.close())
  options.onProgress?.('Restoring')
  const made = await (settings.kind === 'postgres'
    ? scratchPostgres(backup, settings.url, options, held)
    : scratchEmbedded(backup, beside, held))
  const database = await openDatabase({ database: made })
  held.defer(() => database.close())
  options.onProgress?.('Counting rows')
  const client = await database.pool.connect()
  try {
    const rowCounts = await countRows(client)
    return { database, settings: made, rowCounts, differences: compareCounts(backup.manifest.rowCounts, rowCounts) }
  } finally {
    client.release()
  }
}

async function scratchEmbedded(
  backup: OpenedBackup,
  beside: string,
  held: AsyncDisposableStack,
): Promise<DatabaseConfig> {
  await mkdir(beside, { recursive: true, mode: 0o700 })
  const dataDir = await mkdtemp(join(beside, 'restore-'))
  held.defer(() => rm(dataDir, { recursive: true, force: true }))
  await unpackFolder(dataDir, backup.dump)
  return { kind: 'embedded', dataDir, poolSize: 2 }
}

async function scratchPostgres(
  backup: OpenedBackup,
  url: string,
  { programs, signal }: Reading,
  held: AsyncDisposableStack,
): Promise<DatabaseConfig> {
  const admin = await connectBeside(url)
  held.defer(() => admin.end())
  const { rows } = await admin.query<{ version: number; name: string }>(
    `select current_setting('server_version_num')::integer as version, 'tidewire_restore_' || replace(gen_random_uuid()::text, '-', '') as name`,
  )
  const [{ version, name } = { version: 0, name: '' }] = rows
  await requireProgram(programs, 'pg_restore', Math.floor(version / 10_000))
  for (const role of backup.manifest.roles) await ensureRole(admin, role)
  await admin.query(`create database ${pg.escapeIdentifier(name)} template template0`)
  held.defer(() =>
    admin.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`).then(() => undefined),
  )
  await restorePostgres(programs, { url, database: name, dump: backup.dump, ...(signal ? { signal } : {}) })
  return { kind: 'postgres', url: withDatabase(url, name), poolSize: 2, readUrls: [] }
}

/** Policies of the dump name it. Roles belong to the cluster, and no dump of a database makes them. */
async function ensureRole(admin: pg.Client, role: string): Promise<void> {
  const { rowCount } = await admin.query('select 1 from pg_roles where rolname = $1', [role])
  if (!rowCount) await admin.query(`create role ${pg.escapeIdentifier(role)} nologin`)
}

/** A connection to the same server that leaves the database of the URL alone. */
async function connectBeside(url: string): Promise<pg.Client> {
  for (const name of ['postgres', 'template1']) {
    const client = new pg.Client({ connectionString: withDatabase(url, name), application_name: 'tidewire restore' })
    client.on('error', () => undefined)
    try {
      await client.connect()
      return client
    } catch (error) {
      if (name === 'template1')
        throw failed('No database but the configured one can be reached on that Postgres', undefined, error)
    }
  }
  throw failed('Postgres cannot be reached')
}

function withDatabase(url: string, name: string): string {
  return Object.assign(new URL(url), { pathname: `/${encodeURIComponent(name)}` }).href
}

/** Brings the schema up to date and begins another history. Throws `backup_failed` when rows are missing. */
async function putIntoService({ database, differences }: Restored): Promise<void> {
  if (differences.length > 0) throw failed(`Not all rows came back: ${differences.join('; ')}`)
  await database.migrate()
  await database.pool.query('select sync.forget_log()')
  await database.pool.query('update sync_heads set epoch = gen_random_uuid()::text, updated_at = now()')
  await database.pool.query('analyze')
}

async function replacePostgres(
  path: string,
  settings: Extract<DatabaseConfig, { kind: 'postgres' }>,
  options: Reading & { readonly replace: boolean; readonly stamp: string },
): Promise<{ readonly rowCounts: RowCounts; readonly kept: string | null }> {
  const name = databaseOf(settings.url) ?? ''
  const admin = await connectBeside(settings.url)
  try {
    const is = await stateOf(admin, name, settings.url)
    if (is.sessions > 0) throw inUse(`${is.sessions} sessions use the database ${name}.`)
    if (is.filled && !options.replace) throw occupied(`The database ${name} is not empty.`)
    await using held = new AsyncDisposableStack()
    const restored = await restoreApart(path, settings, options, held, dirname(path))
    await putIntoService(restored)
    await restored.database.close()
    const kept = is.exists ? `${name}_before_${options.stamp}` : null
    if (kept !== null) {
      await dropSlots(admin, name)
      await admin.query(`alter database ${pg.escapeIdentifier(name)} rename to ${pg.escapeIdentifier(kept)}`)
    }
    const scratch = restored.settings.kind === 'postgres' ? (databaseOf(restored.settings.url) ?? '') : ''
    await admin.query(`alter database ${pg.escapeIdentifier(scratch)} rename to ${pg.escapeIdentifier(name)}`)
    return { rowCounts: restored.rowCounts, kept: is.filled ? kept : await dropEmpty(admin, kept) }
  } finally {
    await admin.end()
  }
}

async function dropEmpty(admin: pg.Client, name: string | null): Promise<null> {
  if (name !== null) await admin.query(`drop database ${pg.escapeIdentifier(name)}`)
  return null
}

interface State {
  readonly exists: boolean
  readonly sessions: number
  readonly filled: boolean
}

async function stateOf(admin: pg.Client, name: string, url: string): Promise<State> {
  const { rows } = await admin.query<{ exists: boolean; sessions: number }>(
    `select exists (select from pg_database where datname = $1) as exists, (select count(*)::integer from pg_stat_activity where datname = $1 and backend_type in ('client backend', 'walsender')) as sessions`,
    [name],
  )
  const [{ exists, sessions } = { exists: false, sessions: 0 }] = rows
  if (!exists || sessions > 0) return { exists, sessions, filled: exists }
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rowCount } = await client.query(
      `select from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('public', 'sync') and c.relkind in ('r', 'p') limit 1`,
    )
    return { exists, sessions, filled: (rowCount ?? 0) > 0 }
  } finally {
    await client.end()
  }
}

/** A slot would go on keeping WAL for a database that nobody serves; the server makes another one when it starts. */
async function dropSlots(admin: pg.Client, database: string): Promise<void> {
  await admin.query(
    `select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1 and not active and slot_name like 'tidewire%'`,
    [database],
  )
}

async function replaceEmbedded(
  path: string,
  { dataDir }: Extract<DatabaseConfig, { kind: 'embedded' }>,
  options: Reading & { readonly replace: boolean; readonly stamp: string },
): Promise<{ readonly rowCounts: RowCounts; readonly kept: string | null }> {
  const pgdata = join(dataDir, 'pgdata')
  const lock = await lockFolder(dataDir).catch((error: unknown) => {
    throw error instanceof TideError && error.code === 'replica_locked' ? inUse(`A server runs on ${dataDir}.`) : error
  })
  try {
    const filled = existsSync(pgdata)
    if (filled && !options.replace) throw occupied(`There is a database in ${dataDir}.`)
    await using held = new AsyncDisposableStack()
    const restored = await restoreApart(path, { kind: 'embedded', dataDir, poolSize: 2 }, options, held, dataDir)
    await putIntoService(restored)
    await restored.database.close()
    const made = restored.settings.kind === 'embedded' ? join(restored.settings.dataDir, 'pgdata') : ''
    const kept = filled ? `${pgdata}.before-${options.stamp}` : null
    if (kept !== null) await rename(pgdata, kept)
    await rename(made, pgdata)
    return { rowCounts: restored.rowCounts, kept }
  } finally {
    await lock.release()
  }
}

function inUse(message: string): TideError {
  return failed(message.replace(/\.$/, ''), 'Stop every server first, and whoever else is connected.')
}

function occupied(message: string): TideError {
  return failed(
    message.replace(/\.$/, ''),
    'Pass --replace to put the backup in its place; what is there is kept under another name.',
  )
}
