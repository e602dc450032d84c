import { Migration } from '@mikro-orm/migrations'
import {
  retryDelay as formerRetryDelay,
  sweepLeases as formerSweepLeases,
} from './Migration20261122010700_task_work.ts'
import {
  evaluateGates as formerEvaluateGates,
  sweepPipelines as firstSweepPipelines,
} from './Migration20261122100200_pipelines.ts'
import { changes as waitingChanges } from './Migration20261122177100_pipeline_waits.ts'
import { endRun as formerEndRun } from './Migration20261122177200_workflow_starts.ts'

/**
 * No row stops the work of others. The sweep takes back what it can and names the rows that it cannot; a pause is computed from
 * whatever a retry policy holds; a metric of any size is compared; and a run of a workflow that cannot begin has failed.
 */
export class Migration20261122179000_stuck_work extends Migration {
  override up(): void {
    for (const statement of [...dropSweeps, retryDelay, timeOutAttempts, sweepLeases, sweepPipelines, ...others])
      this.addSql(statement)
  }

  override down(): void {
    for (const statement of [
      ...dropSweeps,
      'drop function sync.time_out_attempts(uuid[])',
      formerSweepLeases,
      formerSweepPipelines,
      ...[formerRetryDelay, formerEvaluateGates, formerEndRun].map(replacing),
    ])
      this.addSql(statement)
  }
}

const replacing = (statement: string): string => statement.replace('create function', 'create or replace function')

/** They return something else than before, so they cannot be replaced. */
const dropSweeps = ['drop function sync.sweep_leases()', 'drop function sync.sweep_pipelines()']

/**
 * The pause before the next attempt: a number of seconds from 0 to a day, whatever the policy holds. What is no number counts as
 * not given. Jitter takes up to half of the pause away, so that tasks that failed together do not come back together.
 */
const retryDelay = `
create or replace function sync.retry_delay(policy jsonb, attempt integer) returns interval language sql volatile as $$
  select make_interval(secs => (least(
    case when jsonb_typeof(policy->'maxDelaySeconds') = 'number' then greatest((policy->>'maxDelaySeconds')::numeric, 0) end,
    case when jsonb_typeof(policy->'delaySeconds') = 'number' then greatest((policy->>'delaySeconds')::numeric, 0) else 0 end
      * case policy->>'strategy' when 'exponential' then 2 ^ least(greatest(attempt, 1) - 1, 30)::numeric else 1 end,
    86400
  ) * case when policy->'jitter' = 'true' then 0.5 + random()::numeric / 2 else 1 end)::double precision)
$$`

/** As it was until now: with the time that a run waits for people. */
const formerSweepPipelines = waitingChanges
  .filter(([name]) => name === 'sync.sweep_pipelines()')
  .reduce((text, [, before, after]) => text.replace(before, after), firstSweepPipelines)

const timeOutAttempts = `
create function sync.time_out_attempts(expired uuid[]) returns void language plpgsql as $$
begin
  update public.task_runs set status = 'timed_out', finished_at = date_trunc('milliseconds', now()), error_message = 'The lease ran out.'
  where task_id = any (expired) and status = 'running';
  -- Those without a run of their own.
  perform sync.end_attempt(id, true) from unnest(expired) as id;
end $$`

/**
 * Ends the attempts whose lease is over: all at once, or one by one where that fails. Returns how many it ended, and the first ten
 * of those that it could not, each with the SQLSTATE of its error. Its text would hold values of the row.
 */
const sweepLeases = `
create function sync.sweep_leases(out swept integer, out stuck jsonb) language plpgsql as $$
declare
  expired uuid[] := array(
    select id from public.tasks where lease_expires_at < now() and status = 'in_progress' order by id for update skip locked
  );
  task uuid;
begin
  stuck := '[]';
  begin
    perform sync.time_out_attempts(expired);
    swept := cardinality(expired);
  exception when others then
    swept := 0;
    foreach task in array expired loop
      begin
        perform sync.time_out_attempts(array[task]);
        swept := swept + 1;
      exception when others then
        if jsonb_array_length(stuck) < 10 then
          stuck := stuck || jsonb_build_object('table', 'tasks', 'id', task, 'sqlstate', sqlstate);
        end if;
      end;
    end loop;
  end;
end $$`

/**
 * Ends steps whose lease is over, or whose process has crashed, and runs that take longer than their pipeline allows. Returns how
 * many, and those that it could not end as \`sync.sweep_leases\` does.
 */
const sweepPipelines = `
create function sync.sweep_pipelines(out swept integer, out stuck jsonb) language plpgsql as $$
declare
  overdue uuid;
begin
  swept := 0;
  stuck := '[]';
  for overdue in
    select l.step_execution_id from sync.step_leases l left join public.agent_instances i on i.id = l.instance_id
    where l.expires_at < clock_timestamp() or i.status in ('crashed', 'stopped')
    order by l.step_execution_id for update of l skip locked
  loop
    begin
      perform sync.finish_step(overdue, 'timed_out', '{"error": "The lease ran out."}');
      swept := swept + 1;
    exception when others then
      if jsonb_array_length(stuck) < 10 then
        stuck := stuck || jsonb_build_object('table', 'pipeline_step_executions', 'id', overdue, 'sqlstate', sqlstate);
      end if;
    end;
  end loop;
  for overdue in
    select e.id from public.pipeline_executions e join public.pipelines p on p.id = e.pipeline_id left join sync.pipeline_waits w on w.execution_id = e.id
    where e.status in ('pending', 'queued', 'running')
      and e.queued_at + coalesce(w.waited, '0') + coalesce(clock_timestamp() - w.since, '0') < clock_timestamp() - make_interval(secs => p.timeout_seconds)
    order by e.id for no key update of e skip locked
  loop
    begin
      perform sync.end_pipeline(overdue, 'timed_out', 'The run took longer than its pipeline allows.');
      swept := swept + 1;
    exception when others then
      if jsonb_array_length(stuck) < 10 then
        stuck := stuck || jsonb_build_object('table', 'pipeline_executions', 'id', overdue, 'sqlstate', sqlstate);
      end if;
    end;
  end loop;
end $$`

/** The column has 11 digits before the point: what is beyond is compared as it is, and kept as the largest value there is. */
const evaluateGates = replacing(formerEvaluateGates).replace(
  'g.threshold, m.value,\n',
  `g.threshold,
    case when m.value is not null then greatest(least(m.value, 99999999999.9999), -99999999999.9999) end,
`,
)

/** A run whose steps cannot be made (one names an agent that is gone) has failed, and the one behind it begins. */
const endRun = replacing(formerEndRun).replace(
  `  select id into next from public.workflow_runs where workflow_id = r.workflow_id and status = 'queued' order by created_at, id limit 1;
  if next is not null then perform sync.begin_workflow_run(next); end if;
`,
  `  loop
    select id into next from public.workflow_runs where workflow_id = r.workflow_id and status = 'queued' order by created_at, id limit 1;
    exit when next is null;
    begin
      perform sync.begin_workflow_run(next);
      exit;
    exception when data_exception or integrity_constraint_violation or raise_exception then
      update public.workflow_runs set status = 'failed', finished_at = date_trunc('milliseconds', clock_timestamp()),
        error_message = 'The tasks of its steps could not be made: the definition names something that is not there.'
      where id = next;
      perform sync.publish_event(r.organization_id, 'workflows', 'workflow.failed', r.project_id, 'workflow_run', next,
        jsonb_build_object('workflowId', r.workflow_id));
    end;
  end loop;
`,
)

const others = [evaluateGates, endRun]
