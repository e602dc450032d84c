/**
 * What has to happen from time to time whether or not anybody asks: the canary commit that proves the path from commit
 * to client alive, pruning of logs, tasks and instances that nobody speaks for any more, statistics of agents, and, for
 * the embedded database, vacuuming.
 */
import { Cron } from 'croner'
import type { Clock, CancelTimer } from '../../lib/clock.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Database } from '../db/db.ts'
import type { Log, Troubles } from '../telemetry/telemetry.ts'
import { defaultLogRetention, pruneLog, type LogRetention } from './prune.ts'
import { applyRetention } from './retention/retention.ts'
import { createSchemaWatch } from './schema-watch.ts'
import { vacuumStale } from './vacuum.ts'

export { seedDemo } from './demo.ts'
export { pruneLog, type LogRetention } from './prune.ts'
export { applyRetention, type RetentionReport } from './retention/retention.ts'

export const canaryIntervalMs = 5000
const pruneIntervalMs = 10 * 60_000
const vacuumIntervalMs = 5 * 60_000
const sweepIntervalMs = 5000
const statsIntervalMs = 60_000
const partitionsIntervalMs = 24 * 60 * 60_000
/** Not while the server starts: until there are months, rows go to the default partitions. */
const firstPartitionsMs = 20_000

export interface MaintenanceOptions {
  readonly database: Database
  readonly catalog: Catalog
  /** Folder for what is archived before it is deleted. */
  readonly archiveDir: string
  readonly clock: Clock
  readonly log: Log
  readonly troubles: Troubles
  /** Looks whether all commits are captured; of the change source. */
  readonly inspectCapture?: () => Promise<void>
  /** A canary was committed. */
  readonly onCanary: () => void
  readonly retention?: LogRetention
}

export interface Maintenance {
  /** No job begins after this; one that runs is waited for. */
  stop(): Promise<void>
}

/** First half of the advisory locks by which servers share the jobs; the second is the job's. Any constant does. */
const maintenanceLock = 7_164_902

/** One canary per cluster: a node that finds a fresh one leaves it at that. */
const canarySql = `
select sync.mark_canary() where pg_try_advisory_xact_lock(${maintenanceLock}, 0) and not exists (
  select 1 from (select occurred_at from sync_changes where channel = 'canary' order by seq desc limit 1) newest
  where occurred_at > clock_timestamp() - interval '4 seconds'
)`

/** Instances first: what they held is then over. Several servers may do it at once; each row is taken by one. */
const sweepSql = `
select instances, sync.sweep_leases() as leases, sync.sweep_pipelines() as pipelines from (select sync.sweep_instances() as instances offset 0) swept`

/** Every night, server time. */
const retentionTime = '0 2 * * *'
/** Of several servers the first one does it; a server whose clock is a little late finds it done. */
const doneSql = `select 1 from maintenance_runs where kind = 'retention' and not dry_run and status = 'completed' and started_at > now() - interval '12 hours'`

export function startMaintenance({
  database,
  catalog,
  archiveDir,
  clock,
  log,
  troubles,
  inspectCapture,
  onCanary,
  retention = defaultLogRetention,
}: MaintenanceOptions): Maintenance {
  const { pool } = database
  const lookAtSchema = createSchemaWatch({ pool, catalog, log })
  /** Runs a job of all servers together, unless another one is at it. */
  const alone = async (job: number, run: () => Promise<void>): Promise<void> => {
    // The embedded database has one server, and its connections share the locks of sessions.
    if (database.embedded) return run()
    const client = await pool.connect()
    try {
      const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_lock($1, $2) as mine', [
        maintenanceLock,
        job,
      ])
      if (!rows[0]?.mine) return
      await run().finally(() => client.query('select pg_advisory_unlock($1, $2)', [maintenanceLock, job]))
    } finally {
      client.release()
    }
  }
  const jobs = [
    every({ clock, log, job: 'canary', ms: canaryIntervalMs, firstMs: 0 }, async () => {
      // Before the canary: whoever hears of it is told that everything up to it was captured.
      troubles.report('schema', await lookAtSchema())
      await inspectCapture?.()
      const { rowCount } = await pool.query(canarySql)
      if (rowCount) onCanary()
    }),
    every({ clock, log, job: 'prune', ms: pruneIntervalMs }, () =>
      alone(1, async () => {
        const entries = await pruneLog(pool, retention)
        if (entries > 0) log.info('Change log pruned', { entries })
        await pool.query(`delete from sync.calls where received_at < now() - interval '7 days'`)
      }),
    ),
    every({ clock, log, job: 'sweep', ms: sweepIntervalMs }, async () => {
      const { rows } = await pool.query<{ instances: number; leases: number; pipelines: number }>(sweepSql)
      const [{ instances, leases, pipelines } = { instances: 0, leases: 0, pipelines: 0 }] = rows
      if (instances + leases + pipelines > 0) log.info('Work was taken back', { instances, leases, pipelines })
    }),
    every({ clock, log, job: 'partitions', ms: partitionsIntervalMs, firstMs: firstPartitionsMs }, () =>
      alone(3, async () => {
        // The embedded database makes them while everybody waits, and it is looked after as long as anybody writes to it.
        await pool.query('select sync.ensure_partitions($1)', [database.embedded ? 1 : 3])
      }),
    ),
    every({ clock, log, job: 'event statistics', ms: statsIntervalMs }, () =>
      alone(4, async () => {
        await pool.query('select sync.summarise_events()')
      }),
    ),
    every({ clock, log, job: 'agent statistics', ms: statsIntervalMs }, () =>
      alone(2, async () => {
        await pool.query('select sync.refresh_agent_stats()')
      }),
    ),
  ]
  if (database.embedded) {
    jobs.push(
      every({ clock, log, job: 'vacuum', ms: vacuumIntervalMs }, async () => {
        const tables = await vacuumStale(pool)
        if (tables.length > 0) log.debug('Vacuumed', { tables })
      }),
    )
  }
  const ending = new AbortController()
  let cleaning: Promise<void> = Promise.resolve()
  const nightly = new Cron(retentionTime, { unref: true }, () => {
    cleaning = clean({ pool, catalog, clock, archiveDir, signal: ending.signal }, log)
  })
  return {
    async stop() {
      nightly.stop()
      ending.abort()
      await Promise.all([cleaning, ...jobs.map((stop) => stop())])
    },
  }
}

async function clean(options: Parameters<typeof applyRetention>[0], log: Log): Promise<void> {
  try {
    const { rowCount } = await options.pool.query(doneSql)
    if (rowCount) return
    const { status, tables, failures } = await applyRetention(options)
    if (status === 'failed') log.error('Retention failed for some tables', { failures })
    if (status !== 'skipped') log.info('Retention has run', { tables })
  } catch (error) {
    log.error('A maintenance job failed', {
      job: 'retention',
      error: error instanceof Error ? error.message : String(error),
    })
  }
}

interface Schedule {
  readonly clock: Clock
  readonly log: Log
  readonly job: string
  readonly ms: number
  readonly firstMs?: number
}

/** Runs a job after `firstMs`, and then again and again, `ms` after its last end. A failure is logged, and the next round tries again. */
function every({ clock, log, job, ms, firstMs = ms }: Schedule, run: () => Promise<void>): () => Promise<void> {
  let stopped = false
  let running: Promise<void> = Promise.resolve()
  let cancel: CancelTimer
  const round = (): void => {
    running = run()
      .catch((error: unknown) =>
        log.error('A maintenance job failed', { job, error: error instanceof Error ? error.message : String(error) }),
      )
      .then(() => {
        if (!stopped) cancel = clock.after(ms, round)
      })
  }
  cancel = clock.after(firstMs, round)
  return async () => {
    stopped = true
    cancel()
    await running
  }
}
