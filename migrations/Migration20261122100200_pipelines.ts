import { Migration } from '@mikro-orm/migrations'

/**
 * Runs of pipelines and workflows. In SQL, so that what decides is in one place under row locks, whoever calls: an action, a
 * webhook, the sweep.
 *
 *     start_pipeline ─▶ advance_pipeline ─▶ steps that are ready: queued ─ claim_step ─▶ running ─ finish_step ─▶ advance …
 *                           │ gates that block                                  └ no attempt left ─▶ end_pipeline
 *                           └─▶ end_pipeline: failed ─ waive_gate ─▶ goes on
 */
export class Migration20261122100200_pipelines extends Migration {
  override up(): void {
    for (const statement of [...tables, ...functions, ...workflows]) this.addSql(statement)
  }

  override down(): void {
    this.addSql('drop trigger d_workflow_computed on tasks')
    for (const name of [
      'sync.compute_workflow_run()',
      'sync.begin_workflow_run(uuid)',
      'sync.sweep_pipelines()',
      'sync.waive_gate(uuid, text, uuid, text)',
      'sync.claim_step(uuid, uuid, interval, uuid[], text[])',
      'sync.finish_step(uuid, text, jsonb)',
      'sync.start_pipeline(uuid, text, text, text, jsonb)',
      'sync.advance_pipeline(uuid)',
      'sync.evaluate_gates(uuid, text[])',
      'sync.end_pipeline(uuid, text, text)',
      'sync.publish_event(uuid, text, text, uuid, text, uuid, jsonb)',
    ])
      this.addSql(`drop function ${name}`)
    this.addSql('drop table sync.step_leases')
  }
}

/**
 * Compares the gates of a run that have no result yet (of these names; null: all) with the metrics that its steps gave:
 * `outputs.metrics`, of the last step that has it. A metric that nobody gave passes nothing. Returns the names of blocking gates
 * that failed and are not waived.
 */
export const evaluateGates = `
create function sync.evaluate_gates(execution uuid, names text[]) returns text[] language plpgsql as $$
begin
  insert into public.quality_gate_results (organization_id, project_id, quality_gate_id, execution_id, gate_name, operator, threshold, actual_value, passed, details)
  select distinct on (g.name) g.organization_id, g.project_id, g.id, e.id, g.name, g.operator, g.threshold, m.value,
    coalesce(case g.operator when 'lt' then m.value < g.threshold when 'lte' then m.value <= g.threshold when 'eq' then m.value = g.threshold
      when 'gte' then m.value >= g.threshold else m.value > g.threshold end, false),
    jsonb_build_object('metric', g.metric_name, 'blocking', g.is_blocking, 'severity', g.severity)
  from public.pipeline_executions e
  join public.quality_gates g on g.project_id = e.project_id and (g.pipeline_id = e.pipeline_id or g.pipeline_id is null)
  left join lateral (
    select (s.outputs#>>array['metrics', g.metric_name])::numeric as value from public.pipeline_step_executions s
    where s.execution_id = e.id and s.status = 'completed' and jsonb_typeof(s.outputs#>array['metrics', g.metric_name]) = 'number'
    order by s.finished_at desc, s.position desc limit 1
  ) m on true
  where e.id = execution and g.is_active and g.deleted_at is null and (names is null or g.name = any (names))
  order by g.name, g.pipeline_id nulls last
  on conflict (execution_id, gate_name) do nothing;
  return array(
    select gate_name from public.quality_gate_results r
    where r.execution_id = execution and not r.passed and r.waived_by_user_id is null and (r.details->>'blocking')::boolean
      and (names is null or gate_name = any (names))
    order by gate_name
  );
end $$`

/** Ends steps whose lease is over, or whose process has crashed, and runs that take longer than their pipeline allows. Returns how many. */
export const sweepPipelines = `
create function sync.sweep_pipelines() returns integer language plpgsql as $$
declare
  overdue uuid;
  swept integer := 0;
begin
  for overdue in
    select l.step_execution_id from sync.step_leases l left join public.agent_instances i on i.id = l.instance_id
    where l.expires_at < clock_timestamp() or i.status in ('crashed', 'stopped')
    order by l.step_execution_id for update of l skip locked
  loop
    perform sync.finish_step(overdue, 'timed_out', '{"error": "The lease ran out."}');
    swept := swept + 1;
  end loop;
  for overdue in
    select e.id from public.pipeline_executions e join public.pipelines p on p.id = e.pipeline_id
    where e.status in ('pending', 'queued', 'running') and e.queued_at < clock_timestamp() - make_interval(secs => p.timeout_seconds)
    order by e.id for no key update of e skip locked
  loop
    perform sync.end_pipeline(overdue, 'timed_out', 'The run took longer than its pipeline allows.');
    swept := swept + 1;
  end loop;
  return swept;
end $$`

/** A run is as its tasks are: one that has failed ends it, and cancels the others. The next that waits begins. */
export const computeWorkflowRun = `
create function sync.compute_workflow_run() returns trigger language plpgsql as $$
declare
  r public.workflow_runs;
  became text;
  next uuid;
begin
  select * into r from public.workflow_runs where id = new.workflow_run_id for no key update;
  if r.status is distinct from 'running' then return null; end if;
  select case when bool_or(status = 'failed') then 'failed' when bool_or(status = 'cancelled') then 'cancelled'
    when bool_and(status = 'completed') then 'completed' else 'running' end into became
  from public.tasks where workflow_run_id = r.id and deleted_at is null;
  update public.workflow_runs set status = became,
    current_step = case when became = 'running' then (
      select metadata->>'step' from public.tasks
      where workflow_run_id = r.id and deleted_at is null and status not in ('completed', 'cancelled') order by status <> 'in_progress', position limit 1
    ) else current_step end,
    output = case when became = 'completed' then (
      select jsonb_object_agg(metadata->>'step', result) from public.tasks where workflow_run_id = r.id and deleted_at is null
    ) end,
    error_message = case when became = 'failed' then format('Step %s failed.', new.metadata->>'step') end,
    finished_at = case when became <> 'running' then date_trunc('milliseconds', clock_timestamp()) end
  where id = r.id;
  if became <> 'running' then
    update public.tasks set status = 'cancelled'
    where workflow_run_id = r.id and deleted_at is null and status not in ('completed', 'failed', 'cancelled');
    perform sync.publish_event(r.organization_id, 'workflows', 'workflow.' || became, r.project_id, 'workflow_run', r.id, jsonb_build_object('workflowId', r.workflow_id));
    select id into next from public.workflow_runs where workflow_id = r.workflow_id and status = 'queued' order by created_at, id limit 1;
    if next is not null then perform sync.begin_workflow_run(next); end if;
  end if;
  return null;
end $$`

const tables = [
  /** Who holds a running step, until when, and until when at most. */
  `
create table sync.step_leases (
  step_execution_id uuid primary key references public.pipeline_step_executions on delete cascade,
  agent_id uuid not null references public.agents on delete cascade,
  instance_id uuid references public.agent_instances on delete set null,
  expires_at timestamptz not null,
  deadline timestamptz
)`,
  'create index step_leases_agent_id_idx on sync.step_leases (agent_id)',
  'create index step_leases_instance_id_idx on sync.step_leases (instance_id)',
]

const functions = [
  `
create function sync.publish_event(organization uuid, source text, type text, project uuid, subject_type text, subject_id uuid, data jsonb)
returns void language sql as $$
  insert into public.events (organization_id, source, type, project_id, subject_type, subject_id, event_data)
  values (organization, source, type, project, subject_type, subject_id, data)
$$`,
  /** What is left of the run is cancelled, and an event says how it ended. */
  `
create function sync.end_pipeline(execution uuid, became text, message text) returns void language plpgsql as $$
declare
  e public.pipeline_executions;
begin
  delete from sync.step_leases where step_execution_id in (select id from public.pipeline_step_executions where execution_id = execution);
  update public.pipeline_step_executions set status = 'cancelled', finished_at = date_trunc('milliseconds', clock_timestamp())
  where execution_id = execution and status in ('pending', 'queued', 'running');
  update public.pipeline_executions set
    status = became, error_message = message, finished_at = date_trunc('milliseconds', clock_timestamp()),
    gate_status = case when gate_status = 'none' and became = 'completed' and exists (select from public.quality_gate_results where execution_id = execution)
      then 'passed' else gate_status end,
    outputs = (
      select jsonb_object_agg(step_name, step.outputs order by position, attempt) from public.pipeline_step_executions step
      where execution_id = execution and step.outputs is not null
    )
  where id = execution returning * into e;
  perform sync.publish_event(e.organization_id, 'pipelines', 'pipeline.' || became, e.project_id, 'pipeline_execution', e.id,
    jsonb_build_object('pipelineId', e.pipeline_id, 'runNumber', e.run_number, 'branch', e.branch, 'commitSha', e.commit_sha, 'gateStatus', e.gate_status, 'error', message));
end $$`,
  evaluateGates,
  /**
   * Makes the steps ready whose time has come, does those that are the server's own (gates, notices), and ends the run when nothing
   * is left. A step waits for those it names in depends_on; one that names none, for all of a lower position.
   */
  `
create function sync.advance_pipeline(execution uuid) returns void language plpgsql as $$
declare
  e public.pipeline_executions;
  ready record;
  failed text[];
  again boolean := true;
begin
  select * into e from public.pipeline_executions where id = execution for no key update;
  if e.status not in ('pending', 'queued', 'running') then return; end if;
  while again loop
    again := false;
    for ready in
      with latest as (
        select distinct on (x.step_name) x.id, x.step_id, x.status, x.position, s.depends_on, s.kind, s.configuration, s.name,
          x.status = 'completed' or (x.status in ('failed', 'timed_out') and s.continue_on_error and x.attempt > s.retry_limit) as done
        from public.pipeline_step_executions x join public.pipeline_steps s on s.id = x.step_id
        where x.execution_id = execution order by x.step_name, x.attempt desc
      )
      select l.* from latest l where l.status = 'pending' and not exists (
        select from latest before where not before.done and before.id <> l.id
          and case when cardinality(l.depends_on) > 0 then before.step_id::text = any (l.depends_on) else before.position < l.position end
      ) order by l.position, l.id
    loop
      if ready.kind in ('quality_gate', 'notify') then
        again := true;
        failed := '{}';
        if ready.kind = 'notify' then
          perform sync.publish_event(e.organization_id, 'pipelines', 'pipeline.notice', e.project_id, 'pipeline_execution', e.id,
            jsonb_build_object('step', ready.name, 'runNumber', e.run_number, 'configuration', ready.configuration));
        else
          failed := sync.evaluate_gates(execution, (select array_agg(name) from jsonb_array_elements_text(
            case jsonb_typeof(ready.configuration->'gates') when 'array' then ready.configuration->'gates' else '[]' end) as name));
        end if;
        update public.pipeline_step_executions set status = case when failed = '{}' then 'completed' else 'failed' end,
          started_at = date_trunc('milliseconds', clock_timestamp()), finished_at = date_trunc('milliseconds', clock_timestamp()),
          error_message = case when failed <> '{}' then 'Blocked by ' || array_to_string(failed, ', ') || '.' end
        where id = ready.id;
        if failed <> '{}' then
          update public.pipeline_executions set gate_status = 'failed' where id = execution;
          perform sync.end_pipeline(execution, 'failed', 'Blocked by ' || array_to_string(failed, ', ') || '.');
          return;
        end if;
      else
        update public.pipeline_step_executions set status = 'queued' where id = ready.id;
      end if;
    end loop;
  end loop;
  if exists (
    select from (
      select distinct on (x.step_name) x.status, s.continue_on_error from public.pipeline_step_executions x join public.pipeline_steps s on s.id = x.step_id
      where x.execution_id = execution order by x.step_name, x.attempt desc
    ) latest where status in ('pending', 'queued', 'running') or (status <> 'completed' and not continue_on_error)
  ) then return; end if;
  failed := sync.evaluate_gates(execution, null);
  if failed <> '{}' then
    update public.pipeline_executions set gate_status = 'failed' where id = execution;
    perform sync.end_pipeline(execution, 'failed', 'Blocked by ' || array_to_string(failed, ', ') || '.');
  else
    perform sync.end_pipeline(execution, 'completed', null);
  end if;
end $$`,
  /** Runs of a pipeline are numbered. Null: there is no such pipeline that is active. */
  `
create function sync.start_pipeline(pipeline uuid, trigger_kind text, branch text, commit_sha text, inputs jsonb) returns uuid language plpgsql as $$
declare
  p public.pipelines;
  made uuid;
begin
  select * into p from public.pipelines where id = pipeline and is_active and deleted_at is null for no key update;
  if p.id is null then return null; end if;
  insert into public.pipeline_executions (
    organization_id, project_id, pipeline_id, run_number, definition_revision, status, trigger_kind, triggered_by_user_id, triggered_by_agent_id,
    branch, commit_sha, inputs, origin_device_id
  )
  select p.organization_id, p.project_id, p.id, coalesce(max(run_number), 0) + 1, p.definition_revision, 'queued', start_pipeline.trigger_kind,
    nullif(current_setting('app.user_id', true), '')::uuid, nullif(current_setting('app.agent_id', true), '')::uuid,
    start_pipeline.branch, start_pipeline.commit_sha, start_pipeline.inputs, nullif(current_setting('app.device_id', true), '')::uuid
  from public.pipeline_executions where pipeline_id = p.id
  returning id into made;
  insert into public.pipeline_step_executions (organization_id, project_id, execution_id, step_id, step_name, position, agent_id)
  select p.organization_id, p.project_id, made, id, name, position, agent_id from public.pipeline_steps where pipeline_id = p.id and deleted_at is null;
  perform sync.advance_pipeline(made);
  return made;
end $$`,
  /** \`report\`: exitCode, logTail, logUri, outputs, error. A failure is tried again as often as the step allows. */
  `
create function sync.finish_step(step_execution uuid, became text, report jsonb) returns void language plpgsql as $$
declare
  x public.pipeline_step_executions;
  s public.pipeline_steps;
begin
  perform from public.pipeline_executions
  where id = (select execution_id from public.pipeline_step_executions where id = step_execution) for no key update;
  update public.pipeline_step_executions set
    status = became, exit_code = (report->>'exitCode')::integer, log_tail = right(report->>'logTail', 65536), log_uri = report->>'logUri',
    outputs = report->'outputs', error_message = report->>'error', finished_at = date_trunc('milliseconds', clock_timestamp())
  where id = step_execution and status in ('queued', 'running') returning * into x;
  if x.id is null then return; end if;
  delete from sync.step_leases where step_execution_id = x.id;
  select * into s from public.pipeline_steps where id = x.step_id;
  if became <> 'completed' then
    if x.attempt <= s.retry_limit then
      insert into public.pipeline_step_executions (organization_id, project_id, execution_id, step_id, step_name, position, attempt, agent_id, status)
      values (x.organization_id, x.project_id, x.execution_id, x.step_id, x.step_name, x.position, x.attempt + 1, s.agent_id, 'queued');
    elsif not coalesce(s.continue_on_error, false) then
      perform sync.end_pipeline(x.execution_id, case became when 'timed_out' then 'timed_out' else 'failed' end,
        format('Step %s %s%s', x.step_name, case became when 'timed_out' then 'ran out of time' else 'failed' end, coalesce(': ' || x.error_message, '.')));
      return;
    end if;
  end if;
  perform sync.advance_pipeline(x.execution_id);
end $$`,
  /** The oldest run first, then by position. Steps that another claim holds are passed over. Null: nothing is ready for this agent. */
  `
create function sync.claim_step(agent uuid, instance uuid, lease interval, projects uuid[], kinds text[]) returns uuid language plpgsql as $$
declare
  chosen uuid;
begin
  select x.id into chosen
  from public.pipeline_step_executions x
  join public.pipeline_executions e on e.id = x.execution_id
  join public.pipeline_steps s on s.id = x.step_id
  where x.status = 'queued' and e.status in ('queued', 'running') and x.project_id = any (projects)
    and s.kind = any (kinds) and (x.agent_id is null or x.agent_id = agent)
  order by e.queued_at, e.id, x.position, x.id
  limit 1 for update of x skip locked;
  if chosen is null then return null; end if;
  update public.pipeline_step_executions set status = 'running', agent_id = agent, started_at = date_trunc('milliseconds', clock_timestamp()) where id = chosen;
  update public.pipeline_executions set status = 'running', started_at = coalesce(started_at, date_trunc('milliseconds', clock_timestamp()))
  where id = (select execution_id from public.pipeline_step_executions where id = chosen) and status = 'queued';
  insert into sync.step_leases (step_execution_id, agent_id, instance_id, deadline, expires_at)
  select x.id, agent, instance, clock_timestamp() + make_interval(secs => s.timeout_seconds),
    least(clock_timestamp() + lease, clock_timestamp() + make_interval(secs => s.timeout_seconds))
  from public.pipeline_step_executions x join public.pipeline_steps s on s.id = x.step_id where x.id = chosen;
  return chosen;
end $$`,
  /**
   * Takes a gate that failed as passed. When no other one blocks, the run goes on where it was stopped. False: there is no such result.
   */
  `
create function sync.waive_gate(execution uuid, gate text, by_user uuid, reason text) returns boolean language plpgsql as $$
declare
  e public.pipeline_executions;
begin
  select * into e from public.pipeline_executions where id = execution for no key update;
  update public.quality_gate_results set waived_by_user_id = by_user,
    details = details || jsonb_build_object('waiver', jsonb_build_object('reason', reason, 'at', to_jsonb(clock_timestamp())))
  where execution_id = execution and gate_name = gate and not passed and waived_by_user_id is null;
  if not found then return false; end if;
  if e.gate_status <> 'failed' or exists (
    select from public.quality_gate_results
    where execution_id = execution and not passed and waived_by_user_id is null and (details->>'blocking')::boolean
  ) then return true; end if;
  update public.pipeline_executions set gate_status = 'waived', status = 'running', finished_at = null, error_message = null, outputs = null where id = execution;
  update public.pipeline_step_executions x set status = 'completed', error_message = null
  from public.pipeline_steps s where s.id = x.step_id and x.execution_id = execution and x.status = 'failed' and s.kind = 'quality_gate';
  update public.pipeline_step_executions set status = 'pending', started_at = null, finished_at = null
  where execution_id = execution and status = 'cancelled';
  perform sync.advance_pipeline(execution);
  return true;
end $$`,
  sweepPipelines,
]

const workflows = [
  /** A task for each step of the definition, with its dependencies; or the run waits until fewer are under way. */
  `
create function sync.begin_workflow_run(run uuid) returns void language plpgsql as $$
declare
  r public.workflow_runs;
  w public.workflows;
begin
  select * into w from public.workflows where id = (select workflow_id from public.workflow_runs where id = run) for no key update;
  select * into r from public.workflow_runs where id = run for no key update;
  if r.status not in ('pending', 'queued') then return; end if;
  if (select count(*) from public.workflow_runs where workflow_id = w.id and status = 'running') >= w.max_concurrency then
    update public.workflow_runs set status = 'queued' where id = run and status <> 'queued';
    return;
  end if;
  update public.workflow_runs set status = 'running', started_at = date_trunc('milliseconds', clock_timestamp()), current_step = w.definition#>>'{steps,0,key}' where id = run;
  with steps as (
    select sync.uuid_v7() as task, step, step->>'key' as key, place from jsonb_array_elements(w.definition->'steps') with ordinality as s(step, place)
  ), made as (
    insert into public.tasks (
      id, organization_id, project_id, workflow_run_id, kind, title, description, priority, position, assigned_agent_type, assigned_agent_id,
      max_attempts, timeout_seconds, expected_output, retry_policy, execution_context, metadata
    )
    select task, r.organization_id, r.project_id, run, 'workflow_step', step->>'title', step->>'description', coalesce(step->>'priority', 'medium'), place,
      step->>'agentType', (step->>'agentId')::uuid, coalesce((step->>'maxAttempts')::integer, 3), (step->>'timeoutSeconds')::integer,
      step->>'expectedOutput', w.retry_policy, jsonb_build_object('input', r.input, 'context', coalesce(step->'context', '{}')), jsonb_build_object('step', key)
    from steps
  )
  insert into public.task_dependencies (id, organization_id, project_id, task_id, depends_on_task_id)
  select sync.uuid_from_key('task_dependencies', array[s.task::text, d.task::text, 'depends_on']), r.organization_id, r.project_id, s.task, d.task
  from steps s cross join jsonb_array_elements_text(coalesce(s.step->'dependsOn', '[]')) as before join steps d on d.key = before;
  if jsonb_array_length(w.definition->'steps') = 0 then
    update public.workflow_runs set status = 'completed', finished_at = started_at where id = run;
  end if;
end $$`,
  computeWorkflowRun,
  `create trigger d_workflow_computed after update of status on tasks for each row
    when (new.workflow_run_id is not null and old.status is distinct from new.status) execute function sync.compute_workflow_run()`,
]
