import { Cron } from 'croner'
import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'
import { alone, jobs } from './alone.ts'

export interface SchedulesOptions {
  readonly pool: pg.Pool
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
}

interface Scheduled {
  readonly id: string
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  /** Of its newest run by schedule, or since when its schedule counts. */
  readonly since: Date
}

/** A change of a pipeline is no reason to make up for what its new schedule would have asked for before; looks are so far apart at most. */
const slack = '20 seconds'
/** What was missed before that, because no server ran, is left out. */
const longestMissed = '1 hour'

const scheduledSql = `
select p.id, p.name, p.trigger_config as config, greatest(
    (select max(e.created_at) from pipeline_executions e where e.pipeline_id = p.id and e.trigger_kind = 'schedule'),
    p.updated_at - interval '${slack}', to_timestamp($1::double precision / 1000) - interval '${longestMissed}'
  ) as since
from pipelines p join projects j on j.id = p.project_id
where p.trigger_kind = 'schedule' and p.is_active and p.deleted_at is null and j.deleted_at is null order by p.id`

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
      const next = nextOf(config, since)
      if (next === null || next.getTime() > now) continue
      const { rows: made } = await pool.query<{ id: string | null }>(
        `select sync.start_pipeline($1, 'schedule', $2, null, $3) as id`,
        [id, textOf(config['branch']), JSON.stringify(isRecord(config['inputs']) ? config['inputs'] : {})],
      )
      if (made[0]?.id) started++
    } catch (error) {
      log.error('A pipeline could not be started by its schedule', { pipeline: id, name, error: errorText(error) })
    }
  }
  return started
}

/** Throws when the pattern or the time zone is none. */
function nextOf(config: Scheduled['config'], since: Date): Date | null {
  const cron = textOf(config['cron'])
  if (cron === null) throw new Error('triggerConfig.cron is missing.')
  return new Cron(cron, { paused: true, timezone: textOf(config['timezone']) ?? 'UTC' }).nextRun(since)
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
