import { Cron } from 'croner'
import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'
import { alone, jobs } from './alone.ts'

export interface SchedulesOptions {
  readonly pool: pg.Pool
  /** That of the database, by which pipelines are changed. */
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
}

interface Scheduled {
  readonly id: string
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  /** The time for which its newest run by schedule began, or since when its schedule counts. */
  readonly since: Date
}

/** A change of a pipeline is no reason to make up for what its new schedule would have asked for before; looks are so far apart at most. */
const slack = '20 seconds'
/** What was missed before that, because no server ran, is left out. */
const longestMissed = '1 hour'

const scheduledSql = `
select p.id, p.name, p.trigger_config as config, greatest(
    (select due_at from sync.schedule_runs r where r.pipeline_id = p.id),
    p.updated_at - interval '${slack}', to_timestamp($1::double precision / 1000) - interval '${longestMissed}'
  ) as since
from pipelines p join projects j on j.id = p.project_id
where p.trigger_kind = 'schedule' and p.is_active and p.deleted_at is null and j.deleted_at is null order by p.id`

/** A run and the time that it is for, or neither. A pipeline that may not run now has its turn as well, and does not make up for it. */
const startSql = `
with noted as (
  insert into sync.schedule_runs (pipeline_id, due_at) values ($1, $4)
  on conflict (pipeline_id) do update set due_at = excluded.due_at
)
select sync.start_pipeline($1, 'schedule', $2, null, $3) as id`

/**
 * Starts what is due of pipelines that run by the clock: `triggerConfig` {cron, timezone?, branch?, inputs?}. However many times were missed,
 * it is one run. Answers how many began; undefined: another server is at it.
 */
export function startScheduledPipelines(options: SchedulesOptions): Promise<number | undefined> {
  return alone(options.pool, jobs.pipelineSchedules, () => startDue(options))
}

async function startDue({ pool, clock, log }: SchedulesOptions): Promise<number> {
  const now = clock.now()
  const { rows } = await pool.query<Scheduled>(scheduledSql, [now])
  let started = 0
  for (const { id, name, config, since } of rows) {
    try {
      const due = dueTime(config, since, new Date(now))
      if (due === null) continue
      const { rows: made } = await pool.query<{ id: string | null }>(startSql, [
        id,
        textOf(config['branch']),
        JSON.stringify(isRecord(config['inputs']) ? config['inputs'] : {}),
        due,
      ])
      if (made[0]?.id) started++
    } catch (error) {
      log.error('A pipeline could not be started by its schedule', { pipeline: id, name, error: errorText(error) })
    }
  }
  return started
}

/** The last time after `since` that has come; null: none has. Throws when the pattern or the time zone is none. */
function dueTime(config: Scheduled['config'], since: Date, now: Date): Date | null {
  const pattern = textOf(config['cron'])
  if (pattern === null) throw new Error('triggerConfig.cron is missing.')
  const cron = new Cron(pattern, { paused: true, timezone: textOf(config['timezone']) ?? 'UTC' })
  let due: Date | null = null
  for (let next = cron.nextRun(since); next !== null && next <= now; next = cron.nextRun(next)) due = next
  return due
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
