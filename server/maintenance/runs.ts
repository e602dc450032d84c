import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { errorText } from '../telemetry/telemetry.ts'

export interface RunStart {
  /** As the CHECK of `maintenance_runs` lists them. */
  readonly kind:
    | 'retention'
    | 'partitions'
    | 'analytics'
    | 'rollup'
    | 'memory_decay'
    | 'lease_sweep'
    | 'analyze'
    | 'integrity_check'
    | 'prune'
    | 'repricing'
    | 'embedding'
  readonly dryRun?: boolean
  readonly triggeredBy?: string
}

/** What a run came to. */
export interface RunEnd {
  readonly status: 'completed' | 'failed' | 'skipped'
  readonly affected: number
  readonly details: unknown
  readonly error?: string
}

/**
 * Does `work` with a row of `maintenance_runs` around it. Call it with the job's lock held: a row that is still
 * `running` is then of a process that ended in the middle, and says so from now on.
 */
export async function recordRun<T>(
  pool: pg.Pool,
  { kind, dryRun = false, triggeredBy = 'schedule' }: RunStart,
  work: () => Promise<T>,
  endOf: (result: T) => RunEnd,
): Promise<T> {
  await pool.query(
    `update maintenance_runs set status = 'failed', finished_at = now(), error_message = 'The process ended before it did.'
     where kind = $1 and status = 'running'`,
    [kind],
  )
  const { rows } = await pool.query<{ id: string }>(
    `insert into maintenance_runs (kind, dry_run, triggered_by) values ($1, $2, $3) returning id`,
    [kind, dryRun, triggeredBy],
  )
  const end = ({ status, affected, details, error }: RunEnd): Promise<unknown> =>
    pool.query(
      `update maintenance_runs set status = $2, finished_at = now(), rows_affected = $3, details = $4, error_message = $5 where id = $1`,
      [rows[0]?.id, status, affected, JSON.stringify(details), error ?? null],
    )
  try {
    const result = await work()
    await end(endOf(result))
    return result
  } catch (error) {
    await end({ status: 'failed', affected: 0, details: {}, error: errorText(error) })
    throw error
  }
}

/**
 * Whether a run of this kind was completed within so many milliseconds: of several servers the first one does it. Ask
 * with the job's lock held: another server may have been at it a moment ago.
 */
export async function wasDone(pool: pg.Pool, kind: RunStart['kind'], withinMs: number): Promise<boolean> {
  const { rowCount } = await pool.query(
    `select 1 from maintenance_runs where kind = $1 and not dry_run and status = 'completed' and started_at > now() - $2 * interval '1 millisecond' limit 1`,
    [kind, withinMs],
  )
  return (rowCount ?? 0) > 0
}

export interface EffectOptions<T> extends RunStart {
  readonly pool: pg.Pool
  readonly clock: Pick<Clock, 'monotonic'>
  /** What the work changed, of which 0 is nothing. */
  readonly affected: (result: T) => number
  readonly details?: (result: T) => unknown
}

/**
 * Does a job that is done so often that only those runs count that had an effect: they are written down afterwards, as
 * rows of `maintenance_runs`. Dry runs are not.
 */
export async function recordEffect<T>(
  { pool, clock, kind, dryRun = false, triggeredBy = 'schedule', affected, details }: EffectOptions<T>,
  work: () => Promise<T>,
): Promise<T> {
  const began = clock.monotonic()
  const result = await work()
  const rows = affected(result)
  if (rows === 0 || dryRun) return result
  await pool.query(
    `insert into maintenance_runs (kind, status, started_at, finished_at, rows_affected, triggered_by, details)
     values ($1, 'completed', now() - $2 * interval '1 millisecond', now(), $3, $4, $5)`,
    [kind, clock.monotonic() - began, rows, triggeredBy, JSON.stringify(details?.(result) ?? {})],
  )
  return result
}
