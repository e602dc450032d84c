/**
 * What has to happen from time to time whether or not anybody asks, and when. Where a job leaves rows in
 * `maintenance_runs`, their `kind` is its name, here, in the log, in its lock and on the command line.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Database } from '../db/db.ts'
import type { Log, StatementFigures, Troubles, Vitals } from '../telemetry/telemetry.ts'
import { maintenanceLock } from './alone.ts'
import { refreshAnalytics } from './analytics.ts'
import { decayMemories } from './decay.ts'
import { embedRows, settleEmbedding } from './embedding/embed-rows.ts'
import type { EmbeddingProvider } from './embedding/provider.ts'
import { checkIntegrity } from './integrity.ts'
import { ensurePartitions, monthsAhead } from './partitions.ts'
import { startScheduled } from './pipeline-schedules.ts'
import { prune } from './prune.ts'
import { QueryStatistics, statisticsIntervalMs } from './query-statistics.ts'
import { repriceUsage } from './repricing.ts'
import { applyRetention } from './retention/retention.ts'
import { rollUp } from './rollup.ts'
import { recordEffect } from './runs.ts'
import type { Job } from './schedule.ts'
import { createSchemaWatch } from './schema-watch.ts'
import { createSweepRound } from './sweep.ts'
import { vacuumStale } from './vacuum.ts'
import { vitalsIntervalMs, writeVitals } from './write-vitals.ts'

export interface MaintenanceOptions {
  readonly database: Database
  readonly catalog: Catalog
  /** Folder for what is archived before it is deleted. */
  readonly archiveDir: string
  /** Where artifacts of pipelines lie; absent: files of expired ones stay. */
  readonly artifactDir?: string | undefined
  /** That of the database, so that all servers agree on the time of the night. */
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly troubles: Troubles
  /** Looks whether all commits are captured; of the change source. False: some may be missing. */
  readonly inspectCapture?: () => Promise<boolean>
  /** Rows may have changed unseen, and replicas start over. */
  readonly onGap?: (cause: 'altered') => void
  /** A canary was committed. */
  readonly onCanary: () => void
  /** What this server measured since it was last asked. Absent: nothing is written down. */
  readonly vitals?: () => Promise<Vitals>
  /** Absent: this server makes no backups. */
  readonly backups?: Backups | undefined
  /** Who makes embeddings. Absent: nobody, and it is not noted. */
  readonly embedding?: EmbeddingService
  /** Statements of this server since it was last asked. Absent: none are counted. */
  readonly statements?: () => readonly StatementFigures[]
}

/** Each does nothing when it was done within so many milliseconds. */
export interface Backups {
  make(due: BackupDue): Promise<void>
  test(due: BackupDue): Promise<void>
}

export interface BackupDue {
  readonly unlessDoneMs: number
  readonly signal: AbortSignal
}

export interface EmbeddingService {
  readonly name: string
  readonly model: string | undefined
  /** Undefined: rows wait for no embedding. */
  readonly provider: EmbeddingProvider | undefined
}

const second = 1000
const minute = 60 * second
const hour = 60 * minute

/** Embedding after a round that failed: the service is away, or is set up wrongly. */
const embeddingPauseMs = minute
/** A server that starts finds what another one has just done. */
const analyticsDoneMs = 14 * minute
/** Less than a day: what is made up for in the morning is not put off to the next one by seconds. */
const nightMs = 23 * hour
const monthMs = 30 * 24 * hour

/**
 * One canary per cluster: a server that finds a fresh one leaves it at that. One of the future is from before the clock
 * was set back.
 */
const canarySql = `
select sync.mark_canary() where pg_try_advisory_xact_lock(${maintenanceLock}, 0) and not exists (
  select 1 from (select occurred_at from sync_changes where channel = 'canary' order by seq desc limit 1) newest
  where occurred_at between clock_timestamp() - interval '4 seconds' and clock_timestamp()
)`

/** The jobs of one server. They end after the step under way when `signal` is aborted. */
export function jobsOf(options: MaintenanceOptions, signal: AbortSignal): readonly Job[] {
  const { database, catalog, clock, log, vitals, statements, embedding, backups } = options
  const { pool } = database
  const jobs: Job[] = [canary(options), ...rounds(options, signal), ...nights(options, signal)]
  if (database.embedded) jobs.push(analyze(options))
  if (vitals)
    jobs.push({
      name: 'vitals',
      when: { everyMs: vitalsIntervalMs, firstMs: 5 * second },
      run: async () => writeVitals(pool, await vitals()),
    })
  if (embedding) jobs.push(embed({ pool, catalog, clock, log, signal, embedding }))
  if (statements) {
    const statistics = new QueryStatistics(pool, () => clock.now())
    const write = (): Promise<void> => statistics.write(statements())
    jobs.push({ name: 'query_statistics', when: { everyMs: statisticsIntervalMs }, run: write, end: write })
  }
  if (backups)
    jobs.push(
      {
        name: 'backup',
        when: { cron: '0 1 * * *', periodMs: nightMs, makeUpMs: 3 * minute },
        run: (unlessDoneMs) => backups.make({ signal, unlessDoneMs }),
      },
      {
        name: 'restore_test',
        when: { cron: '30 4 1 * *', periodMs: monthMs, makeUpMs: 30 * minute },
        run: (unlessDoneMs) => backups.test({ signal, unlessDoneMs }),
      },
    )
  return jobs
}

function canary({
  database: { watch },
  catalog,
  log,
  onGap,
  troubles,
  inspectCapture,
  onCanary,
}: MaintenanceOptions): Job {
  const lookAtSchema = createSchemaWatch({ pool: watch, catalog, log, onGap })
  return {
    name: 'canary',
    when: { everyMs: 5 * second, firstMs: 0 },
    async run() {
      // Before the canary: whoever hears of it is told that everything up to it was captured.
      troubles.report('schema', await lookAtSchema())
      if ((await inspectCapture?.()) === false) return
      const { rowCount } = await watch.query(canarySql)
      if (rowCount) onCanary()
    },
  }
}

function rounds({ database, clock, log }: MaintenanceOptions, signal: AbortSignal): readonly Job[] {
  const { pool } = database
  return [
    {
      name: 'prune',
      when: { everyMs: 10 * minute },
      async run() {
        const { changes = 0 } = (await prune({ pool, clock })) ?? {}
        if (changes > 0) log.info('Change log pruned', { entries: changes })
      },
    },
    {
      name: 'lease_sweep',
      when: { everyMs: 5 * second },
      run: createSweepRound({ pool, clock, log }),
    },
    {
      name: 'partitions',
      // Not while the server starts: until there are months, rows go to the default partitions.
      when: { everyMs: 24 * hour, firstMs: 20 * second },
      async run() {
        await ensurePartitions({ pool, monthsAhead: monthsAhead(database) })
      },
    },
    {
      name: 'repricing',
      when: { everyMs: 10 * minute },
      async run() {
        const usages = await repriceUsage(pool, { clock, signal })
        if (usages) log.info('Usage was priced', { usages })
      },
    },
    {
      name: 'rollup',
      when: { everyMs: minute },
      async run() {
        await rollUp({ pool, clock })
      },
    },
    {
      name: 'analytics',
      when: { everyMs: 15 * minute, firstMs: minute },
      async run() {
        await refreshAnalytics(pool, { unlessDoneMs: analyticsDoneMs, signal })
      },
    },
    {
      name: 'pipeline_schedules',
      when: { everyMs: 15 * second },
      async run() {
        const started = await startScheduled({ pool, clock, log })
        if (started) log.info('Pipelines were started by their schedules', { started })
      },
    },
  ]
}

function nights(options: MaintenanceOptions, signal: AbortSignal): readonly Job[] {
  const { database, catalog, archiveDir, artifactDir, log } = options
  const { pool } = database
  return [
    {
      name: 'retention',
      when: { cron: '0 2 * * *', periodMs: nightMs, makeUpMs: 5 * minute },
      async run(unlessDoneMs) {
        const report = await applyRetention({ pool, catalog, archiveDir, artifactDir, signal, unlessDoneMs })
        const { status, tables, failures, files } = report
        if (Object.keys(failures).length > 0) log.error('Retention failed for some tables', { failures })
        if (files.left > 0) log.info('Files of artifacts are left', files)
        if (status !== 'skipped') log.info('Retention has run', { tables })
      },
    },
    {
      name: 'memory_decay',
      when: { cron: '30 2 * * *', periodMs: nightMs, makeUpMs: 10 * minute },
      async run(unlessDoneMs) {
        const memories = await decayMemories({ pool, signal, unlessDoneMs })
        if (memories !== undefined) log.info('Memories have faded', { memories })
      },
    },
    {
      name: 'integrity_check',
      when: { cron: '30 3 * * *', periodMs: nightMs, makeUpMs: 15 * minute },
      async run(unlessDoneMs) {
        const looks = await checkIntegrity(pool, { unlessDoneMs })
        const problems = looks?.filter((look) => look.problems > 0) ?? []
        if (problems.length > 0) log.error('The integrity check found problems', { problems })
      },
    },
  ]
}

/** Of the embedded database, which has no autovacuum. */
function analyze({ database: { pool }, clock, log }: MaintenanceOptions): Job {
  return {
    name: 'analyze',
    when: { everyMs: 5 * minute },
    async run() {
      const tables = await recordEffect(
        { pool, clock, kind: 'analyze', affected: ({ length }) => length, details: (names) => ({ tables: names }) },
        () => vacuumStale(pool),
      )
      if (tables.length > 0) log.debug('Vacuumed', { tables })
    },
  }
}

function embed({
  pool,
  catalog,
  clock,
  log,
  signal,
  embedding: { name, model, provider },
}: Pick<MaintenanceOptions, 'catalog' | 'clock' | 'log'> & {
  readonly pool: MaintenanceOptions['database']['pool']
  readonly signal: AbortSignal
  readonly embedding: EmbeddingService
}): Job {
  let isSettled = false
  let pausedUntil = 0
  return {
    name: 'embedding',
    when: { everyMs: 5 * second, firstMs: 0 },
    async run() {
      if (!isSettled) await settleEmbedding({ pool, catalog, provider: name, model, log, signal })
      isSettled = true
      if (!provider || clock.monotonic() < pausedUntil) return
      pausedUntil = clock.monotonic() + embeddingPauseMs
      const done = await embedRows({ pool, catalog, provider, signal })
      pausedUntil = 0
      if (done) log.debug('Embeddings were made', { rows: done.embedded, refused: done.failed.length })
    },
  }
}
