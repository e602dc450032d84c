import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { DatabaseConfig } from '../../server/config.ts'

/** A database of this run alone. */
export interface OwnDatabase {
  readonly config: DatabaseConfig
  /** What a server needs in its environment to use it. */
  readonly env: Readonly<Record<string, string>>
  /** Product and version, for the report. */
  readonly name: string
  drop(): Promise<void>
}

/** Embedded in a fresh folder, or a fresh database beside the one that `url` names. */
export function createOwnDatabase(url: string | undefined): Promise<OwnDatabase> {
  return url === undefined ? createEmbedded() : createOnPostgres(url)
}

async function createEmbedded(): Promise<OwnDatabase> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tidewire-bench-'))
  return {
    config: { kind: 'embedded', dataDir, poolSize: 8 },
    env: { TIDEWIRE_DATA: dataDir },
    name: 'embedded (PGlite)',
    drop: () => rm(dataDir, { recursive: true, force: true }),
  }
}

async function createOnPostgres(adminUrl: string): Promise<OwnDatabase> {
  const name = `tidewire_bench_${randomUUID().replaceAll('-', '')}`
  const url = Object.assign(new URL(adminUrl), { pathname: `/${name}` }).href
  const version = await asAdmin(adminUrl, async (admin) => {
    await admin.query(`create database ${name} template template0`)
    const { rows } = await admin.query<{ server_version: string }>('show server_version')
    return rows[0]?.server_version.split(' ', 1)[0] ?? ''
  })
  const dataDir = await mkdtemp(join(tmpdir(), 'tidewire-bench-'))
  return {
    config: { kind: 'postgres', url, poolSize: 10, readUrls: [] },
    env: { DATABASE_URL: url, TIDEWIRE_DATA: dataDir },
    name: `Postgres ${version}`,
    drop: async () => {
      await asAdmin(adminUrl, (admin) => dropWithSlots(admin, name))
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

async function asAdmin<T>(url: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.end()
  }
}

/** A replication slot would keep its database, and the write-ahead log, for ever. */
async function dropWithSlots(admin: pg.Client, name: string): Promise<void> {
  const { rows } = await admin.query<{ slot_name: string; active_pid: number | null }>(
    'select slot_name, active_pid from pg_replication_slots where database = $1',
    [name],
  )
  for (const { slot_name: slot, active_pid: pid } of rows) {
    if (pid !== null) await admin.query('select pg_terminate_backend($1, 5000)', [pid])
    await admin.query('select pg_drop_replication_slot($1)', [slot])
  }
  await admin.query(`drop database if exists ${name} with (force)`)
}
