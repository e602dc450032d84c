/**
 * What has to happen from time to time whether or not anybody asks: the canary commit that proves the path from commit
 * to client alive, pruning of logs, tasks and instances that nobody speaks for any more, statistics of agents, and, for
 * the embedded database, vacuuming.
 */
import { Cron } from 'croner'
import type { Clock, CancelTimer } from '../../lib/clock.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Database } from '../db/db.ts'
import { errorText, type Log, type StatementFigures, type Troubles, type Vitals } from '../telemetry/telemetry.ts'
import { alone, jobs, maintenanceLock } from './alone.ts'
import { refreshAnalytics } from './analytics.ts'
import { decayMemories } from './decay.ts'
import { embedRows, settleEmbedding } from './embedding/embed-rows.ts'
import type { EmbeddingProvider } from './embedding/provider.ts'
import { checkIntegrity } from './integrity.ts'
import { ensurePartitions } from './partitions.ts'
import { prune } from './prune.ts'
import { startScheduled } from './pipeline-schedules.ts'
import { QueryStatistics, statisticsIntervalMs } from './query-statistics.ts'
import { applyRetention, type RetentionReport } from './retention/retention.ts'
import { repriceUsage } from './repricing.ts'
import { recordEffect } from './runs.ts'
import { createSchemaWatch } from './schema-watch.ts'
import { createSweepRound } from './sweep.ts'
import { vacuumStale } from './vacuum.ts'
import { vitalsIntervalMs, writeVitals } from './vitals.ts'

export { alone, jobs } from './alone.ts'
export { refreshAnalytics } from './analytics.ts'
export { decayMemories } from './decay.ts'
export { embedRows, settleEmbedding } from './embedding/embed-rows.ts'
export { createHttpProvider, embeddingService } from './embedding/provider.ts'
export { checkIntegrity, readIntegrity } from './integrity.ts'
export { ensurePartitions, wantingPartitions } from './partitions.ts'
export { startScheduled } from './pipeline-schedules.ts'
export { prune } from './prune.ts'
export { repriceUsage } from './repricing.ts'
export { sweepWork } from './sweep.ts'
export { applyRetention, type RetentionReport } from './retention/retention.ts'
export { reportStatements } from './statements-report.ts'
export { neglected, readSuccessMetrics, readSystemHealth } from './system-health.ts'

export const canaryIntervalMs = 5000
const pruneIntervalMs = 10 * 60_000
const repricingIntervalMs = 10 * 60_000
const embeddingIntervalMs = 5000
/** After a round that failed: the service is away, or is set up wrongly. */
const embeddingPauseMs = 60_000
const vacuumIntervalMs = 5 * 60_000
const sweepIntervalMs = 5000
const schedulesIntervalMs = 15_000
const statsIntervalMs = 60_000
const partitionsIntervalMs = 24 * 60 * 60_000
/** Not while the server starts: until there are months, rows go to the default partitions. */
const firstPartitionsMs = 20_000
const analyticsIntervalMs = 15 * 60_000
/** A server that starts finds what another one has just done. */
const analyticsDoneMs = 14 * 60_000
const firstAnalyticsMs = 60_000
/** When the server has had the time to become ready. */
const firstVitalsMs = 5000

export interface MaintenanceOptions {
  readonly database: Database
  readonly catalog: Catalog
  /** Folder for what is archived before it is deleted. */
  readonly archiveDir: string
  /** Where artifacts of pipelines lie; absent: files of expired ones stay. */
  readonly artifactDir?: string | undefined
  readonly clock: Clock
  readonly log: Log
  readonly troubles: Troubles
  /** Looks whether all commits are captured; of the change source. */
  readonly inspectCapture?: () => Promise<void>
  /** Rows may have changed unseen, and replicas start over. */
  readonly onGap?: (cause: 'altered') => void
  /** A canary was committed. */
  readonly onCanary: () => void
  /** What this server measured since it was last asked. Absent: nothing is written down. */
  readonly vitals?: () => Promise<Vitals>
  /** Absent: this server makes no backups. */
  readonly backups?: { make(signal: AbortSignal): Promise<void>; test(signal: AbortSignal): Promise<void> } | undefined
  /** Who makes embeddings. Absent: nobody, and it is not noted. */
  readonly embedding?: EmbeddingService
  /** Statements of this server since it was last asked. Absent: none are counted. */
  readonly statements?: () => readonly StatementFigures[]
}

export interface EmbeddingService {
  readonly name: string
  readonly model: string | undefined
  /** Undefined: rows wait for no embedding. */
  readonly provider: EmbeddingProvider | undefined
}

export interface Maintenance {
  /** No job begins after this; one that runs is waited for. */
  stop(): Promise<void>
}

/** One canary per cluster: a node that finds a fresh one leaves it at that. */
const canarySql = `
select sync.mark_canary() where pg_try_advisory_xact_lock(${maintenanceLock}, 0) and not exists (
  select 1 from (select occurred_at from sync_changes where channel = 'canary' order by seq desc limit 1) newest
  where occurred_at > clock_timestamp() - interval '4 seconds'
)`

/** Server time. */
const retentionTime = '0 2 * * *'
const decayTime = '30 2 * * *'
const integrityTime = '30 3 * * *'
const backupTime = '0 1 * * *'
/** On the first of each month. */
const restoreTestTime = '30 4 1 * *'
/** Of several servers the first one does it; a server whose clock is a little late finds it done. */
const nightlyDoneMs = 12 * 60 * 60_000
/** Of one timer: the time of day may be set meanwhile, and a machine may sleep. */
const longestWaitMs = 60_000

export function startMaintenance({
  database,
  catalog,
  archiveDir,
  artifactDir,
  clock,
  log,
  troubles,
  inspectCapture,
  onGap,
  onCanary,
  vitals,
  statements,
  backups,
  embedding,
}: MaintenanceOptions): Maintenance {
  const { pool, watch } = database
  const ending = new AbortController()
  const lookAtSchema = createSchemaWatch({ pool: watch, catalog, log, onGap })
  /** A statement that says as `n` how many rows it wrote. */
  const rollup = (text: string, into: string): Promise<number> =>
    recordEffect({ pool, clock, kind: 'rollup', affected: (n) => n, details: () => ({ into }) }, async () => {
      const { rows } = await pool.query<{ n: number }>(text)
      return rows[0]?.n ?? 0
    })
  const rounds = [
    every({ clock, log, job: 'canary', ms: canaryIntervalMs, firstMs: 0 }, async () => {
      // Before the canary: whoever hears of it is told that everything up to it was captured.
      troubles.report('schema', await lookAtSchema())
      await inspectCapture?.()
      const { rowCount } = await watch.query(canarySql)
      if (rowCount) onCanary()
    }),
    every({ clock, log, job: 'prune', ms: pruneIntervalMs }, async () => {
      const { changes = 0 } = (await prune({ pool, clock })) ?? {}
      if (changes > 0) log.info('Change log pruned', { entries: changes })
    }),
    every({ clock, log, job: 'sweep', ms: sweepIntervalMs }, createSweepRound({ pool, clock, log })),
    every({ clock, log, job: 'partitions', ms: partitionsIntervalMs, firstMs: firstPartitionsMs }, async () => {
      await ensurePartitions({ pool, monthsAhead: monthsAhead(database) })
    }),
    every({ clock, log, job: 'repricing', ms: repricingIntervalMs }, async () => {
      const usages = await repriceUsage(pool, { clock, signal: ending.signal })
      if (usages) log.info('Usage was priced', { usages })
    }),
    every({ clock, log, job: 'event statistics', ms: statsIntervalMs }, async () => {
      await alone(pool, jobs.eventStatistics, () => rollup('select sync.summarise_events() as n', 'event_metrics'))
    }),
    every({ clock, log, job: 'analytics', ms: analyticsIntervalMs, firstMs: firstAnalyticsMs }, async () => {
      await refreshAnalytics(pool, { unlessDoneMs: analyticsDoneMs, signal: ending.signal })
    }),
    every({ clock, log, job: 'pipeline schedules', ms: schedulesIntervalMs }, async () => {
      const started = await startScheduled({ pool, clock, log })
      if (started) log.info('Pipelines were started by their schedules', { started })
    }),
    every({ clock, log, job: 'agent statistics', ms: statsIntervalMs }, async () => {
      await alone(pool, jobs.agentStatistics, () => rollup('select sync.refresh_agent_stats() as n', 'agents'))
    }),
  ]
  if (database.embedded) {
    rounds.push(
      every({ clock, log, job: 'vacuum', ms: vacuumIntervalMs }, async () => {
        const tables = await recordEffect(
          { pool, clock, kind: 'analyze', affected: ({ length }) => length, details: (names) => ({ tables: names }) },
          () => vacuumStale(pool),
        )
        if (tables.length > 0) log.debug('Vacuumed', { tables })
      }),
    )
  }
  if (vitals) {
    rounds.push(
      every({ clock, log, job: 'vitals', ms: vitalsIntervalMs, firstMs: firstVitalsMs }, async () =>
        writeVitals(pool, await vitals()),
      ),
    )
  }
  if (embedding) rounds.push(embeddingRounds({ pool, catalog, clock, log, embedding, signal: ending.signal }))
  const statistics = new QueryStatistics(pool, () => clock.now())
  if (statements) {
    rounds.push(
      every({ clock, log, job: 'query statistics', ms: statisticsIntervalMs }, () => statistics.write(statements())),
    )
  }
  const nights = [
    nightly({ clock, log, job: 'retention', time: retentionTime }, async () => {
      const given = { pool, catalog, archiveDir, artifactDir, signal: ending.signal }
      report(log, await applyRetention({ ...given, unlessDoneMs: nightlyDoneMs }))
    }),
    nightly({ clock, log, job: 'memory decay', time: decayTime }, async () => {
      const memories = await decayMemories({ pool, signal: ending.signal })
      if (memories !== undefined) log.info('Memories have faded', { memories })
    }),
    nightly({ clock, log, job: 'integrity check', time: integrityTime }, async () => {
      const looks = await checkIntegrity(pool, { unlessDoneMs: nightlyDoneMs })
      const problems = looks?.filter((look) => look.problems > 0) ?? []
      if (problems.length > 0) log.error('The integrity check found problems', { problems })
    }),
  ]
  if (backups) {
    nights.push(
      nightly({ clock, log, job: 'backup', time: backupTime }, () => backups.make(ending.signal)),
      nightly({ clock, log, job: 'restore test', time: restoreTestTime }, () => backups.test(ending.signal)),
    )
  }
  return {
    async stop() {
      ending.abort()
      await Promise.all([...nights.map((stop) => stop()), ...rounds.map((stop) => stop())])
      // What was counted since the last round; a database that is away has its own lines in the log.
      if (statements) await statistics.write(statements()).catch(() => undefined)
    },
  }
}

function embeddingRounds(options: {
  readonly pool: Database['pool']
  readonly catalog: Catalog
  readonly clock: Clock
  readonly log: Log
  readonly embedding: EmbeddingService
  readonly signal: AbortSignal
}): () => Promise<void> {
  const { pool, catalog, clock, log, signal } = options
  const { name, model, provider } = options.embedding
  let isSettled = false
  let pausedUntil = 0
  return every({ clock, log, job: 'embedding', ms: embeddingIntervalMs, firstMs: 0 }, async () => {
    if (!isSettled) await settleEmbedding({ pool, catalog, provider: name, model, log, signal })
    isSettled = true
    if (!provider || clock.monotonic() < pausedUntil) return
    pausedUntil = clock.monotonic() + embeddingPauseMs
    const done = await embedRows({ pool, catalog, provider, signal })
    pausedUntil = 0
    if (done) log.debug('Embeddings were made', { rows: done.embedded, refused: done.failed.length })
  })
}

function report(log: Log, { status, tables, failures, files }: RetentionReport): void {
  if (Object.keys(failures).length > 0) log.error('Retention failed for some tables', { failures })
  if (files.left > 0) log.info('Files of artifacts are left', files)
  if (status !== 'skipped') log.info('Retention has run', { tables })
}

/** The embedded database makes them while everybody waits, and it is looked after as long as anybody writes to it. */
export function monthsAhead({ embedded }: Database): number {
  return embedded ? 1 : 3
}

interface Schedule {
  readonly clock: Clock
  readonly log: Log
  readonly job: string
  readonly ms: number
  readonly firstMs?: number
}

/** Runs a job at its time of the night. A failure is logged, and the next night tries again. */
function nightly(
  { clock, log, job, time }: Pick<Schedule, 'clock' | 'log' | 'job'> & { readonly time: string },
  run: () => Promise<void>,
): () => Promise<void> {
  const times = new Cron(time)
  const nextAfter = (ms: number): number => times.nextRun(new Date(ms))?.getTime() ?? Infinity
  let running: Promise<void> = Promise.resolve()
  let cancel: CancelTimer
  const waitFor = (at: number): void => {
    const ms = at - clock.now()
    if (ms > 0) {
      cancel = clock.after(Math.min(ms, longestWaitMs), () => waitFor(at))
      return
    }
    running = run().catch((error: unknown) => log.error('A maintenance job failed', { job, error: errorText(error) }))
    waitFor(nextAfter(Math.max(at, clock.now())))
  }
  waitFor(nextAfter(clock.now()))
  return async () => {
    cancel()
    await running
  }
}

/** Runs a job after `firstMs`, and then again and again, `ms` after its last end. A failure is logged, and the next round tries again. */
function every({ clock, log, job, ms, firstMs = ms }: Schedule, run: () => Promise<void>): () => Promise<void> {
  let stopped = false
  let running: Promise<void> = Promise.resolve()
  let cancel: CancelTimer
  const round = (): void => {
    running = run()
      .catch((error: unknown) => log.error('A maintenance job failed', { job, error: errorText(error) }))
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
