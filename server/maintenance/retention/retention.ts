import { errorText } from '../../telemetry/telemetry.ts'
/**
 * Retention: deletes what has outlived its policy (rows of `retention_policies`), in batches, summing up or archiving first
 * where the policy says so. One run at a time among all servers of a Postgres (the embedded database has one backend, and two runs
 * at once there only share the work); a run that is stopped is simply run again.
 */
import { createWriteStream } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type pg from 'pg'
import type { Clock } from '../../../lib/clock.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import { alone, jobs } from '../alone.ts'
import { pruneLog } from '../prune.ts'
import { recordRun, type RunEnd } from '../runs.ts'
import { planRetention, type Policy, type RetentionStep } from './retention-plan.ts'
import { summaries } from './summaries.ts'

export interface RetentionOptions {
  readonly pool: pg.Pool
  readonly catalog: Catalog
  readonly clock: Clock
  /** Where rows go that are archived first: `<folder>/<table>/<time>-<organization or all>-<n>.jsonl.gz`. */
  readonly archiveDir: string
  /** Counts only; changes nothing. */
  readonly dryRun?: boolean
  /** Instead of what their policies say, for integration events and system metrics. */
  readonly retentionDays?: number
  readonly triggeredBy?: string
  /** After each batch. */
  readonly onProgress?: (policy: string, table: string, rows: number) => void
  /** Ends after the batch under way. */
  readonly signal?: AbortSignal
}

export interface RetentionReport {
  /** `skipped`: another server is at it. `failed`: at least one table failed; the others were done. */
  readonly status: 'completed' | 'failed' | 'skipped'
  readonly dryRun: boolean
  /** Rows deleted, or that would be, by table. */
  readonly tables: Readonly<Record<string, number>>
  readonly failures: Readonly<Record<string, string>>
}

/** Whose days `retentionDays` sets. */
const adjustable: ReadonlySet<string> = new Set(['integration_events', 'system_metrics'])
/** Of files: they go when the next backup is made. */
const withoutFiles: ReadonlySet<string> = new Set(['backup_files'])

const policiesSql = `
select organization_id as "organizationId", name, table_name as "tableName", time_column as "timeColumn", condition, keep_for::text as "keepFor",
  action, batch_size as "batchSize", is_enabled as "isEnabled", legal_hold as "legalHold"
from retention_policies order by organization_id nulls first, name`

export async function applyRetention(options: RetentionOptions): Promise<RetentionReport> {
  const { pool, dryRun = false, triggeredBy = 'schedule' } = options
  const report = await alone(pool, jobs.retention, () =>
    recordRun(pool, { kind: 'retention', dryRun, triggeredBy }, () => run(options), endOf),
  )
  return report ?? { status: 'skipped', dryRun, tables: {}, failures: {} }
}

function endOf(report: RetentionReport): RunEnd {
  const failures = Object.entries(report.failures).map(([table, message]) => `${table}: ${message}`)
  return {
    status: report.status,
    affected: Object.values(report.tables).reduce((sum, n) => sum + n, 0),
    details: report,
    ...(failures.length === 0 ? {} : { error: failures.join('\n') }),
  }
}

async function run(options: RetentionOptions): Promise<RetentionReport> {
  const { pool, catalog, clock, dryRun = false, retentionDays, signal } = options
  const { rows } = await pool.query<Policy>(policiesSql)
  const policies = rows
    .filter(({ name }) => !withoutFiles.has(name))
    .map((policy) =>
      retentionDays !== undefined && adjustable.has(policy.name)
        ? { ...policy, keepFor: `${retentionDays} days` }
        : policy,
    )
  const now = new Date(clock.now()).toISOString()
  const tables: Record<string, number> = {}
  const failures: Record<string, string> = {}
  for (const step of planRetention(catalog, policies)) {
    if (signal?.aborted) break
    try {
      const rowsGone = dryRun ? await count(pool, step, now) : await remove(options, step, now)
      if (rowsGone > 0) tables[step.table] = (tables[step.table] ?? 0) + rowsGone
      if (!dryRun) await note(pool, step, rowsGone)
    } catch (error) {
      failures[step.table] = errorText(error)
    }
  }
  return { status: Object.keys(failures).length === 0 ? 'completed' : 'failed', dryRun, tables, failures }
}

async function count(pool: pg.Pool, { table, where, values }: RetentionStep, now: string): Promise<number> {
  const { rows } = await pool.query<{ n: string }>(`select count(*) as n from "${table}" t where ${where}`, [
    now,
    ...values,
  ])
  return Number(rows[0]?.n)
}

async function note(pool: pg.Pool, { policy }: RetentionStep, affected: number): Promise<void> {
  await pool.query(
    `update retention_policies set last_run_at = now(), last_affected = $3 where name = $1 and organization_id is not distinct from $2`,
    [policy.name, policy.organizationId, affected],
  )
}

async function remove(options: RetentionOptions, step: RetentionStep, now: string): Promise<number> {
  const { pool, onProgress, signal } = options
  if (step.table === 'sync_changes')
    return pruneLog(pool, { keepMs: await milliseconds(pool, step), keepRows: 2_000_000_000 })
  let total = 0
  for (let part = 0; !signal?.aborted; part++) {
    const rows =
      step.policy.action === 'archive_then_delete'
        ? await archiveBatch(options, step, now, part)
        : await deleteBatch(pool, step, now)
    if (rows === 0) break
    total += rows
    onProgress?.(step.policy.name, step.table, total)
  }
  return total
}

async function milliseconds(pool: pg.Pool, { values: [keepFor] }: RetentionStep): Promise<number> {
  const { rows } = await pool.query<{ ms: number }>('select extract(epoch from $1::interval)::float8 * 1000 as ms', [
    keepFor,
  ])
  return rows[0]?.ms ?? 0
}

/** By id: the place of a row (`ctid`) is not its own among partitions. */
async function deleteBatch(
  pool: pg.Pool,
  { policy, table, where, values }: RetentionStep,
  now: string,
): Promise<number> {
  const summary = policy.action === 'summarize_then_delete' ? summaries[table] : undefined
  const time = `"${policy.timeColumn}"`
  const chosen = summary?.byDay
    ? `select id from "${table}" t where ${where} and ${time} < (select date_trunc('day', min(${time}), 'UTC') + interval '1 day' from "${table}" t where ${where})`
    : `select id from "${table}" t where ${where} order by ${time} limit ${policy.batchSize}`
  const removal = `delete from "${table}" where id = any (array(${chosen}))`
  const { rows } = await pool.query<{ n: string }>(
    `with gone as (${removal} returning *)${summary ? `, summed as (${summary.insert})` : ''} select count(*) as n from gone`,
    [now, ...values],
  )
  return Number(rows[0]?.n)
}

/** The file is on the disk before the rows are gone; should the commit fail, the same rows are archived again, under another name. */
async function archiveBatch(
  { pool, archiveDir }: RetentionOptions,
  { policy, table, where, values }: RetentionStep,
  now: string,
  part: number,
): Promise<number> {
  const { rows } = await pool.query<{ id: string; line: string }>(
    `select t.id, row_to_json(t)::text as line from "${table}" t where ${where} order by "${policy.timeColumn}" limit ${policy.batchSize}`,
    [now, ...values],
  )
  if (rows.length === 0) return 0
  const path = join(
    archiveDir,
    table,
    `${now.replaceAll(/[:.]/g, '-')}-${policy.organizationId ?? 'all'}-${part}.jsonl.gz`,
  )
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  try {
    await pipeline(
      Readable.from(rows.map(({ line }) => `${line}\n`)),
      createGzip(),
      createWriteStream(path, { mode: 0o600, flags: 'wx' }),
    )
    await flush(path)
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
  await pool.query(`delete from "${table}" where id = any ($1::uuid[])`, [rows.map(({ id }) => id)])
  return rows.length
}

async function flush(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
