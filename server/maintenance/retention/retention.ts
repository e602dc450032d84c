/**
 * Retention: deletes what has outlived its policy (rows of `retention_policies`), in batches and whole months, summing
 * up or archiving first where the policy says so. One run at a time among all servers of a Postgres (the embedded
 * database has one backend, and two runs at once there only share the work); a run that is stopped is simply run again.
 */
import type pg from 'pg'
import type { Catalog } from '../../catalog/catalog.ts'
import { inOneTransaction, timeOf } from '../../db/db.ts'
import { errorText } from '../../telemetry/telemetry.ts'
import { alone } from '../alone.ts'
import { countPrunable, mostLogRows, pruneLog } from '../prune.ts'
import { recordRun, wasDone, type RunEnd } from '../runs.ts'
import { removeArtifactFile } from './artifact-files.ts'
import { archiveBatch, deleteBatch, deleteCounting, dropMonths, type Gone } from './remove-rows.ts'
import { longestKeep, planRetention, type Policy, type RetentionStep } from './retention-plan.ts'

export interface RetentionOptions {
  readonly pool: pg.Pool
  readonly catalog: Catalog
  /** Where rows go that are archived first: `<folder>/<table>/<time>-<organization or all>-<n>.jsonl.gz`. */
  readonly archiveDir: string
  /** Where artifacts of pipelines lie whose files go with their rows; absent: no file goes. */
  readonly artifactDir?: string | undefined
  /** Counts only; changes nothing. */
  readonly dryRun?: boolean
  /** Instead of what their policies say, for integration events and system metrics. */
  readonly retentionDays?: number
  readonly triggeredBy?: string
  /** Not when a run was completed within so many milliseconds. */
  readonly unlessDoneMs?: number
  /** After each batch. */
  readonly onProgress?: (policy: string, table: string, rows: number) => void
  /** Ends after the batch under way. */
  readonly signal?: AbortSignal
}

export interface RetentionReport {
  /**
   * `skipped`: another server is at it, or was within `unlessDoneMs`. `failed`: at least one table failed, and the
   * others were done; or it was stopped.
   */
  readonly status: 'completed' | 'failed' | 'skipped'
  /** It ended by its signal, so that rows may be left which have outlived their policy. */
  readonly stopped: boolean
  /** By this time, of the database, rows had outlived their policy, or not. */
  readonly timestamp: string
  /** What was given for integration events and system metrics; null: their policies were. */
  readonly retentionDays: number | null
  readonly dryRun: boolean
  /** Rows deleted, or that would be, by table; those that went with others are counted too. */
  readonly tables: Readonly<Record<string, number>>
  readonly failures: Readonly<Record<string, string>>
  /** Months of logs that were dropped because nothing was left in them, by table. */
  readonly months: Readonly<Record<string, number>>
  /** Files of artifacts: how many are gone, and where others are left, of which the first hundred are named. */
  readonly files: { readonly removed: number; readonly left: number; readonly places: readonly string[] }
}

/** Whose days `retentionDays` sets. */
const adjustable: ReadonlySet<string> = new Set(['integration_events', 'system_metrics'])
/** Of files: they go when the next backup is made. */
const withoutFiles: ReadonlySet<string> = new Set(['backup_files'])
/** Of so many rows less the planner is told. */
const analyzeFrom = 1000
const namedPlaces = 100

const policiesSql = `
select organization_id as "organizationId", name, table_name as "tableName", time_column as "timeColumn", condition, keep_for::text as "keepFor",
  action, batch_size as "batchSize", is_enabled as "isEnabled", legal_hold as "legalHold"
from retention_policies order by organization_id nulls first, name`

/** Rows are judged by the clock of the database: that of a server may be wrong. */
export async function applyRetention(options: RetentionOptions): Promise<RetentionReport> {
  const { pool, dryRun = false, triggeredBy = 'schedule', unlessDoneMs = 0 } = options
  const tally = new Tally(options, await timeOf(options))
  const report = await alone(pool, 'retention', async () => {
    if (unlessDoneMs > 0 && (await wasDone(pool, 'retention', unlessDoneMs))) return undefined
    return recordRun(pool, { kind: 'retention', dryRun, triggeredBy }, () => run(options, tally), endOf)
  })
  return report ?? { ...tally.report(), status: 'skipped' }
}

function endOf(report: RetentionReport): RunEnd {
  const failures = Object.entries(report.failures).map(([table, message]) => `${table}: ${message}`)
  if (report.stopped) failures.push('It was stopped before all was done.')
  return {
    status: report.status,
    affected: Object.values(report.tables).reduce((sum, n) => sum + n, 0),
    details: report,
    ...(failures.length === 0 ? {} : { error: failures.join('\n') }),
  }
}

/** What a run has come to so far: also what a table had lost before it failed. */
class Tally {
  readonly now: string
  readonly #options: RetentionOptions
  readonly #tables = new Map<string, number>()
  readonly #failures = new Map<string, string>()
  readonly #months = new Map<string, number>()
  readonly #places: string[] = []
  #removedFiles = 0
  #leftFiles = 0

  /** `now` in milliseconds since 1970. */
  constructor(options: RetentionOptions, now: number) {
    this.#options = options
    this.now = new Date(now).toISOString()
  }

  add(gone: Gone): void {
    for (const [table, rows] of gone) this.#tables.set(table, (this.#tables.get(table) ?? 0) + rows)
  }

  addMonths(table: string, months: number): void {
    if (months > 0) this.#months.set(table, months)
  }

  addFile(place: string, removed: boolean): void {
    if (removed) this.#removedFiles += 1
    else if ((this.#leftFiles += 1) <= namedPlaces) this.#places.push(place)
  }

  fail(table: string, error: unknown): void {
    this.#failures.set(table, errorText(error))
  }

  /** Tables that lost so many rows. */
  lost(rows: number): readonly string[] {
    return [...this.#tables].flatMap(([table, n]) => (n >= rows ? [table] : []))
  }

  report(): RetentionReport {
    const stopped = this.#options.signal?.aborted ?? false
    return {
      status: this.#failures.size === 0 && !stopped ? 'completed' : 'failed',
      stopped,
      timestamp: this.now,
      retentionDays: this.#options.retentionDays ?? null,
      dryRun: this.#options.dryRun ?? false,
      tables: Object.fromEntries(this.#tables),
      failures: Object.fromEntries(this.#failures),
      months: Object.fromEntries(this.#months),
      files: { removed: this.#removedFiles, left: this.#leftFiles, places: this.#places },
    }
  }
}

async function run(options: RetentionOptions, tally: Tally): Promise<RetentionReport> {
  const { pool, catalog, dryRun = false, retentionDays, signal } = options
  const { rows } = await pool.query<Policy>(policiesSql)
  const policies = rows
    .filter(({ name }) => !withoutFiles.has(name))
    .map((policy) =>
      retentionDays !== undefined && adjustable.has(policy.name)
        ? { ...policy, keepFor: `${retentionDays} days` }
        : policy,
    )
  const steps = planRetention(catalog, policies)
  if (dryRun) {
    await countAll(options, steps, tally)
    return tally.report()
  }
  for (const step of steps) {
    if (signal?.aborted) break
    let total = 0
    const onGone = (gone: Gone): void => {
      tally.add(gone)
      total += gone.get(step.table) ?? 0
      if (gone.size > 0) options.onProgress?.(step.policy.name, step.table, total)
    }
    try {
      await remove(options, step, tally, onGone)
    } catch (error) {
      tally.fail(step.table, error)
    }
    await note(pool, step, total).catch((error: unknown) => tally.fail(step.table, error))
  }
  await removeFiles(options, tally).catch((error: unknown) => tally.fail('pipeline_artifacts', error))
  await dropEmptyMonths(options, steps, policies, tally)
  for (const table of tally.lost(analyzeFrom)) await pool.query(`analyze "${table}"`)
  return tally.report()
}

async function note(pool: pg.Pool, { policy }: RetentionStep, affected: number): Promise<void> {
  await pool.query(
    `update retention_policies set last_run_at = now(), last_affected = $3 where name = $1 and organization_id is not distinct from $2`,
    [policy.name, policy.organizationId, affected],
  )
}

async function remove(
  options: RetentionOptions,
  step: RetentionStep,
  tally: Tally,
  onGone: (gone: Gone) => void,
): Promise<void> {
  const { pool, archiveDir, signal } = options
  const { now } = tally
  if (step.table === 'sync_changes') {
    onGone(goneOf(step.table, await pruneLog(pool, await logRetention(pool, step))))
    return
  }
  if (step.wholeMonths) onGone(await dropMonths(pool, step, now))
  for (let part = 0; !signal?.aborted; part++) {
    const gone =
      step.policy.action === 'archive_then_delete'
        ? await archiveBatch(pool, archiveDir, step, now, part)
        : await deleteBatch(pool, step, now)
    if (gone.size === 0) break
    onGone(gone)
  }
}

function goneOf(table: string, rows: number): Gone {
  return rows === 0 ? new Map() : new Map([[table, rows]])
}

/** As the job that prunes the log has it. */
async function logRetention(
  pool: pg.Pool,
  { values: [keepFor] }: RetentionStep,
): Promise<{ readonly keepMs: number; readonly keepRows: number }> {
  const { rows } = await pool.query<{ ms: number }>('select extract(epoch from $1::interval)::float8 * 1000 as ms', [
    keepFor,
  ])
  return { keepMs: rows[0]?.ms ?? 0, keepRows: mostLogRows }
}

interface Place {
  readonly id: number
  readonly organization: string
  readonly place: string
  readonly used: boolean
}

/**
 * The files of artifacts whose rows are gone, whichever way they went: a trigger notes their places. A place that
 * another row names is left to that row. A file that cannot be removed is tried again by the next run.
 */
async function removeFiles({ pool, artifactDir, signal }: RetentionOptions, tally: Tally): Promise<void> {
  for (let last = 0; !signal?.aborted;) {
    const { rows } = await pool.query<Place>(
      `select f.id::float8 as id, f.organization_id as organization, f.place,
        exists (select 1 from pipeline_artifacts a where a.storage_uri = f.place) as used
      from sync.artifact_files f where f.id > $1 order by f.id limit 500`,
      [last],
    )
    if (rows.length === 0) return
    last = rows.at(-1)?.id ?? last
    const done: number[] = []
    for (const { id, organization, place, used } of rows) {
      try {
        if (!used) tally.addFile(place, await removeArtifactFile(place, organization, artifactDir))
        done.push(id)
      } catch (error) {
        tally.fail('pipeline_artifacts', error)
      }
    }
    await pool.query('delete from sync.artifact_files where id = any ($1::bigint[])', [done])
  }
}

/** What is over for everybody, and empty: whatever kept a row there, an organization or a hold, keeps its month. */
async function dropEmptyMonths(
  { pool }: RetentionOptions,
  steps: readonly RetentionStep[],
  policies: readonly Policy[],
  tally: Tally,
): Promise<void> {
  for (const table of new Set(steps.flatMap((step) => (step.monthly ? [step.table] : [])))) {
    try {
      const { rows } = await pool.query<{ n: number }>(
        `select sync.drop_empty_partitions($1, $2::timestamptz - (select max(keep) from unnest($3::interval[]) as keep)) as n`,
        [table, tally.now, longestKeep(policies, table)],
      )
      tally.addMonths(table, rows[0]?.n ?? 0)
    } catch (error) {
      tally.fail(table, error)
    }
  }
}

/**
 * The same figures without the effect. Where rows go with others, or would have gone with others by then, they are
 * deleted in one transaction that is taken back: only Postgres knows what goes with what. All else is counted.
 */
async function countAll(options: RetentionOptions, steps: readonly RetentionStep[], tally: Tally): Promise<void> {
  const { pool, signal } = options
  const entangled = steps.filter(({ cascades, cascadedLater }) => cascades || cascadedLater)
  const countOn = async (client: pg.ClientBase): Promise<void> => {
    for (const step of steps) {
      if (signal?.aborted) break
      await client.query('savepoint step')
      try {
        if (entangled.includes(step)) {
          for (let gone = await deleteCounting(client, step, tally.now); gone.size > 0;) {
            tally.add(gone)
            gone = await deleteCounting(client, step, tally.now)
          }
        } else if (step.table !== 'sync_changes') tally.add(await count(client, step, tally.now))
      } catch (error) {
        await client.query('rollback to savepoint step')
        tally.fail(step.table, error)
      }
    }
  }
  await inOneTransaction(pool, countOn, { end: 'rollback' })
  const log = steps.find(({ table }) => table === 'sync_changes')
  if (log) tally.add(goneOf(log.table, await countPrunable(pool, await logRetention(pool, log))))
}

async function count(client: pg.ClientBase, { table, where, values }: RetentionStep, now: string): Promise<Gone> {
  const { rows } = await client.query<{ n: string }>(`select count(*) as n from "${table}" t where ${where}`, [
    now,
    ...values,
  ])
  return goneOf(table, Number(rows[0]?.n))
}
