import { errorText } from '../telemetry/telemetry.ts'
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'
import type { DatabaseConfig } from '../config.ts'
import type { EncryptionKey } from '../credentials/credentials.ts'
import { inOneTransaction, type Database } from '../db/db.ts'
import { alone } from '../maintenance/maintenance.ts'
import { writeBackup, type BackupHead, type Manifest, type Written } from './backup-file.ts'
import { beginRun, endRun, removeExpired } from './backup-runs.ts'
import { copyEmbedded, packFolder } from './embedded-copy.ts'
import { dumpPostgres, requireProgram, type Programs } from './postgres-programs.ts'
import { countRows, type RowCounts } from './row-counts.ts'

export interface BackupOptions {
  readonly database: Database
  readonly settings: DatabaseConfig
  /** Where the file goes; made if there is none. */
  readonly dir: string
  /** The first encrypts. */
  readonly keys: readonly EncryptionKey[]
  /** False: the file is written in clear. */
  readonly encrypt: boolean
  readonly programs: Programs
  readonly clock: Clock
  readonly random: Random
  readonly onProgress?: (text: string) => void
  /** Ends it; what was written is removed, and the run recorded as failed. */
  readonly signal?: AbortSignal
}

export interface MadeBackup extends Written {
  readonly id: string
  readonly location: string
  readonly keyId: string | null
  readonly rowCounts: RowCounts
  /** Old files that went. */
  readonly removed: number
}

/** What is being saved, once its snapshot stands. */
interface Source {
  readonly head: Pick<BackupHead, 'kind' | 'createdAt' | 'version'>
  readonly manifest: Manifest
  readonly dump: AsyncIterable<Uint8Array>
}

const progressBytes = 64 * 1024 * 1024

/**
 * Makes a backup and removes those that have expired. Undefined: another server is at it. Errors:
 * `encryption_unavailable`, `program_missing`, `backup_failed`, and those of the file system.
 */
export async function makeBackup(options: BackupOptions): Promise<MadeBackup | undefined> {
  const { database, settings, dir, keys, encrypt, programs, signal } = options
  const key = encrypt ? requireKey(keys) : undefined
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const version = await versionOf(database)
  if (settings.kind === 'postgres') await requireProgram(programs, 'pg_dump', Math.floor(version / 10_000))
  return alone(database.pool, 'backup', async () => {
    await using held = new AsyncDisposableStack()
    const source = await (settings.kind === 'postgres'
      ? openPostgres(options, settings.url, version, held)
      : openEmbedded(options, settings.dataDir, version, held))
    // After the snapshot: the backup does not hold its own beginning.
    const location = join(dir, fileName(source.head.createdAt, options.random))
    const id = await beginRun(database.pool, { kind: 'full', location, encryptedWith: key?.id ?? null })
    const { rowCounts } = source.manifest
    try {
      const written = await writeBackup({
        path: location,
        ...source,
        key,
        random: options.random,
        onBytes: byTheWay(options),
        ...(signal ? { signal } : {}),
      })
      await endRun(database.pool, id, { rowCounts, written })
      const removed = await removeExpired(database.pool, dir)
      return { id, location, keyId: key?.id ?? null, rowCounts, removed, ...written }
    } catch (error) {
      const told = signal?.aborted ? 'It was cancelled.' : errorText(error)
      await endRun(database.pool, id, { rowCounts, error: told })
      throw error
    }
  })
}

function requireKey([first]: readonly EncryptionKey[]): EncryptionKey {
  if (first) return first
  throw new TideError('encryption_unavailable', 'A backup cannot be encrypted: ENCRYPTION_KEYS is not set.', {
    remedy:
      'Set ENCRYPTION_KEYS, e.g. to k1:$(openssl rand -base64 32), and keep that key elsewhere; or pass --unencrypted.',
  })
}

async function versionOf({ pool }: Database): Promise<number> {
  const { rows } = await pool.query<{ version: number }>(
    `select current_setting('server_version_num')::integer as version`,
  )
  return rows[0]?.version ?? 0
}

/** Sorts by time; two in one second have different names. */
function fileName(createdAt: string, random: Random): string {
  const suffix = Buffer.from(random.bytes(3)).toString('hex')
  return `tidewire-${createdAt.slice(0, 19).replaceAll(':', '-')}Z-${suffix}.backup`
}

function byTheWay({ onProgress }: BackupOptions): (bytes: number) => void {
  let told = 0
  return (bytes) => {
    if (bytes - told < progressBytes) return
    told = bytes
    onProgress?.(`${Math.round(bytes / 1024 / 1024)} MiB written`)
  }
}

/** A connection of its own keeps the snapshot; pg_dump reads in it. */
async function openPostgres(
  options: BackupOptions,
  url: string,
  version: number,
  held: AsyncDisposableStack,
): Promise<Source> {
  const { database, programs, signal, onProgress } = options
  const client = new pg.Client(database.connection)
  client.on('error', () => undefined)
  await client.connect()
  held.defer(() => client.end())
  await client.query('begin isolation level repeatable read read only')
  const { rows } = await client.query<{ snapshot: string }>('select pg_export_snapshot() as snapshot')
  onProgress?.('Counting rows')
  const manifest = await manifestOf(client)
  const createdAt = await timeOf(client)
  onProgress?.('Dumping')
  const dump = dumpPostgres(programs, { url, snapshot: rows[0]?.snapshot ?? '', ...(signal ? { signal } : {}) })
  return { head: { kind: 'postgres', createdAt, version }, manifest, dump }
}

/** Counted and copied in one turn. */
async function openEmbedded(
  options: BackupOptions,
  dataDir: string,
  version: number,
  held: AsyncDisposableStack,
): Promise<Source> {
  const { database, dir, clock, onProgress } = options
  const target = await mkdtemp(join(dir, 'copy-'))
  held.defer(() => rm(target, { recursive: true, force: true }))
  await chmod(target, 0o700)
  const copy = async (client: pg.ClientBase): Promise<Source> => {
    onProgress?.('Counting rows')
    const manifest = await manifestOf(client)
    const createdAt = await timeOf(client)
    onProgress?.('Copying the folder')
    await copyEmbedded(client, { pgdata: join(dataDir, 'pgdata'), target, clock })
    return { head: { kind: 'embedded', createdAt, version }, manifest, dump: packFolder(target) }
  }
  return inOneTransaction(database.pool, copy, { end: 'rollback' })
}

async function manifestOf(client: pg.ClientBase): Promise<Manifest> {
  const { rows } = await client.query<{ migration: string | null }>(
    'select max(name) as migration from mikro_orm_migrations',
  )
  const { rows: roles } = await client.query<{ name: string }>(
    `select distinct r.rolname as name from pg_policy p cross join lateral unnest(p.polroles) role join pg_roles r on r.oid = role order by 1`,
  )
  return {
    rowCounts: await countRows(client),
    migration: rows[0]?.migration ?? null,
    roles: roles.map(({ name }) => name),
  }
}

async function timeOf(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{ at: Date }>('select now() as at')
  return (rows[0]?.at ?? new Date(0)).toISOString()
}
