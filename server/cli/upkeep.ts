/** Jobs that the server does by itself, done now. */
import { systemClock } from '../../lib/clock.ts'
import type { Database } from '../db/db.ts'
import {
  decayMemories,
  ensurePartitions,
  monthsAhead,
  prune,
  repriceUsage,
  sweepWork,
  wantingPartitions,
} from '../maintenance/maintenance.ts'
import { table, type Console } from './console.ts'
import type { UpkeepJob } from './upkeep-jobs.ts'

interface JobOptions {
  readonly dryRun: boolean
  readonly console: Console
}

/** Figures by name; undefined: a server is at it. */
type Figures = Readonly<Record<string, number | readonly string[]>> | undefined

const jobs: Readonly<Record<UpkeepJob, (database: Database, options: JobOptions) => Promise<Figures>>> = {
  async 'lease-sweep'({ pool }, { dryRun }) {
    const { stuck, ...swept } = await sweepWork({ pool, clock: systemClock, dryRun, triggeredBy: 'cli' })
    return { ...swept, stuck: stuck.map(({ table: name, id, sqlstate }) => `${name} ${id}: ${sqlstate}`) }
  },
  async 'memory-decay'({ pool }, { dryRun, console }) {
    const onProgress = (n: number): void => console.progress(`${n} memories`)
    const memories = await decayMemories({ pool, unlessDoneMs: 0, dryRun, triggeredBy: 'cli', onProgress })
    return memories === undefined ? undefined : { memories }
  },
  async partitions(database, { dryRun }) {
    if (dryRun) return { ...(await wantingPartitions(database.pool)) }
    const made = await ensurePartitions({
      pool: database.pool,
      monthsAhead: monthsAhead(database),
      triggeredBy: 'cli',
    })
    return made === undefined ? undefined : { made }
  },
  async prune({ pool }, { dryRun, console }) {
    const onProgress = (n: number): void => console.progress(`${n} entries of the change log`)
    const pruned = await prune({ pool, clock: systemClock, dryRun, triggeredBy: 'cli', onProgress })
    return pruned && { ...pruned }
  },
  async repricing({ pool }, { dryRun, console }) {
    if (dryRun) {
      const { rows } = await pool.query<{ usages: number }>(
        'select count(*)::float8 as usages from token_usages u where u.cost_usd is null and (sync.price_at(u.organization_id, u.provider, u.model, u.occurred_at)).id is not null',
      )
      return rows[0] && { ...rows[0] }
    }
    const onProgress = (n: number): void => console.progress(`${n} usages priced`)
    const usages = await repriceUsage(pool, { triggeredBy: 'cli', onProgress })
    return usages === undefined ? undefined : { usages }
  },
}

/** Does one job, or says what it would do. */
export async function runJob(
  database: Database,
  job: UpkeepJob,
  { dryRun = false }: { readonly dryRun?: boolean },
  console: Console,
): Promise<void> {
  const figures = await jobs[job](database, { dryRun, console })
  console.answer(
    { job, dryRun, status: figures ? 'completed' : 'skipped', ...figures },
    figures
      ? table(
          [dryRun ? `${job} would change` : job, 'number'],
          Object.entries(figures).map(([name, value]) => [name, typeof value === 'number' ? value : value.length]),
        )
      : 'A server is at it already; nothing was done here.',
  )
}
