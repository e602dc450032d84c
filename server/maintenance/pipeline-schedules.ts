import { Cron } from 'croner'
import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'
import { alone } from './alone.ts'

export interface SchedulesOptions {
  readonly pool: pg.Pool
  /** That of the database, by which pipelines are changed. */
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
}

interface Scheduled {
  readonly kind: 'pipeline' | 'workflow'
  readonly id: string
  readonly name: string
  /** A workflow of no project. */
  readonly homeless: boolean
  readonly config: Readonly<Record<string, unknown>>
  /** The time for which its newest run by schedule began, or since when its schedule counts. */
  readonly since: Date
}

/**
 * A change of a pipeline is no reason to make up for what its new schedule would have asked for before; looks are so
 * far apart at most.
 */
const slack = '20 seconds'
/** What was missed before that, because no server ran, is left out. */
const longestMissed = '1 hour'

const scheduledSql = `
with bounds as (select to_timestamp($1::double precision / 1000) - interval '${longestMissed}' as earliest)
select 'pipeline' as kind, p.id, p.name, false as homeless, p.trigger_config as config, greatest(
    (select due_at from sync.schedule_runs r where r.pipeline_id = p.id), p.updated_at - interval '${slack}', earliest
  ) as since
from pipelines p join projects j on j.id = p.project_id, bounds
where p.trigger_kind = 'schedule' and p.is_active and p.deleted_at is null and j.deleted_at is null
union all
select 'workflow', w.id, w.name, w.project_id is null, w.trigger_config, greatest(
    (select due_at from sync.workflow_schedule_runs r where r.workflow_id = w.id), w.updated_at - interval '${slack}', earliest
  )
from workflows w, bounds where w.trigger_kind = 'schedule' and w.is_active and w.deleted_at is null
order by kind, id`

/**
 * A run and the time that it is for, or neither. A pipeline that may not run now has its turn as well, and does not
 * make up for it.
 */
const startPipelineSql = `
with noted as (
  insert into sync.schedule_runs (pipeline_id, due_at) values ($1, $4)
  on conflict (pipeline_id) do update set due_at = excluded.due_at
)
select sync.start_pipeline($1, 'schedule', $2, null, $3) as id`

/** The same, with the event that the run names. Null: there is no project for the tasks. */
const startWorkflowSql = `
with place as (
  select w.id, w.organization_id, p.id as project from workflows w
  join projects p on p.id::text = coalesce(w.project_id::text, $2) and p.organization_id = w.organization_id and p.deleted_at is null
  where w.id = $1
), noted as (
  insert into sync.workflow_schedule_runs (workflow_id, due_at) values ($1, $4)
  on conflict (workflow_id) do update set due_at = excluded.due_at
), said as (
  insert into events (organization_id, source, type, project_id, subject_type, subject_id, event_data)
  select organization_id, 'workflows', 'workflow.scheduled', project, 'workflow', id, '{}' from place returning id
)
select sync.start_workflow(place.id, place.project, $3, said.id) as id from place, said`

/**
 * Starts what is due of pipelines and workflows that run by the clock: `triggerConfig` {cron, timezone?}, of a pipeline
 * {branch?, inputs?} besides, of a workflow {input?, projectId?}. However many times were missed, it is one run.
 * Answers how many began; undefined: another server is at it.
 */
export function startScheduled(options: SchedulesOptions): Promise<number | undefined> {
  return alone(options.pool, 'pipeline_schedules', () => startDue(options))
}

async function startDue({ pool, clock, log }: SchedulesOptions): Promise<number> {
  const now = clock.now()
  const { rows } = await pool.query<Scheduled>(scheduledSql, [now])
  let started = 0
  for (const { kind, id, name, homeless, config, since } of rows) {
    try {
      const due = dueTime(config, since, new Date(now))
      if (due === null) continue
      const isPipeline = kind === 'pipeline'
      const given = config[isPipeline ? 'inputs' : 'input']
      const { rows: made } = await pool.query<{ id: string | null }>(isPipeline ? startPipelineSql : startWorkflowSql, [
        id,
        textOf(config[isPipeline ? 'branch' : 'projectId']),
        JSON.stringify(isRecord(given) ? given : {}),
        due,
      ])
      if (made[0]?.id) started++
      else if (homeless && textOf(config['projectId']) === null)
        throw new Error('It is of no project, and triggerConfig.projectId names none.')
    } catch (error) {
      const what = { [kind]: id, name, error: errorText(error) }
      if (kind === 'pipeline') log.error('A pipeline could not be started by its schedule', what)
      else log.error('A workflow could not be started by its schedule', what)
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
