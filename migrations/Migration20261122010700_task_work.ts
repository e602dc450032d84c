import { Migration } from '@mikro-orm/migrations'

/**
 * Work on tasks: which may be begun, who holds one and until when, what a failed attempt leads to, and how agents are
 * doing. In SQL, so that a claim is one statement under row locks and a write by plain SQL leaves the same behind.
 *
 *     pending ─ claim_next_task ─▶ in_progress, with a lease and a run ─▶ completed …
 *        ▲                             │ lease over, or run failed
 *        └── attempts left ── ended ───┴── none left ─▶ failed
 */
export class Migration20261122010700_task_work extends Migration {
  override up(): void {
    for (const statement of [
      readyTasks,
      calls,
      'create index calls_received_at_idx on sync.calls (received_at)',
      retryDelay,
      claimNextTask,
      endAttempt,
      sweepLeases,
      computeTaskLease,
      computeTaskReopened,
      computeTaskRuns,
      computeRunEnd,
      computeTaskProgress,
      computeAgentStatus,
      sweepInstances,
      staleAgents,
      noteStaleAgent,
      refreshAgentStats,
      ...triggers,
    ])
      this.addSql(statement)
  }

  override down(): void {
    for (const [table, name] of [
      ['tasks', 'a_lease_computed'],
      ['tasks', 'a_reopened_computed'],
      ['tasks', 'c_runs_computed'],
      ['tasks', 'd_progress_computed_insert'],
      ['tasks', 'd_progress_computed_update'],
      ['task_runs', 'd_stats_computed'],
      ['task_runs', 'c_end_computed'],
      ['agent_instances', 'c_status_computed'],
    ])
      this.addSql(`drop trigger ${name} on ${table}`)
    for (const name of [
      'sync.refresh_agent_stats(uuid[])',
      'sync.note_stale_agent()',
      'sync.sweep_instances()',
      'sync.compute_agent_status()',
      'sync.compute_task_progress()',
      'sync.compute_run_end()',
      'sync.compute_task_runs()',
      'sync.compute_task_reopened()',
      'sync.compute_task_lease()',
      'sync.sweep_leases()',
      'sync.end_attempt(uuid, boolean)',
      'sync.claim_next_task(uuid, uuid, interval, uuid[])',
      'sync.retry_delay(jsonb, integer)',
    ])
      this.addSql(`drop function ${name}`)
    this.addSql('drop table sync.stale_agents')
    this.addSql('drop table sync.calls')
    this.addSql('drop view sync.v_ready_tasks')
  }
}

/** What may be begun now: nothing it depends on is left to do, and its time has come. */
const readyTasks = `
create view sync.v_ready_tasks with (security_invoker = true) as
select t.* from public.tasks t
where t.status = 'pending' and t.deleted_at is null
  and (t.run_after is null or t.run_after <= now())
  and (t.next_retry_at is null or t.next_retry_at <= now())
  and not exists (
    select from public.task_dependencies d join public.tasks p on p.id = d.depends_on_task_id
    where d.task_id = t.id and d.deleted_at is null and p.deleted_at is null and p.status <> 'completed'
  )`

/** Answers of actions, so that a repeated call is answered and not done again. */
const calls = `
create table sync.calls (
  id uuid primary key,
  organization_id uuid not null references public.organizations on delete cascade,
  device_id uuid not null references public.devices on delete cascade,
  action text not null,
  input_hash bytea not null,
  answer jsonb not null,
  received_at timestamptz not null default now()
)`

/**
 * {"strategy": "fixed" | "exponential", "delaySeconds": n, "maxDelaySeconds": n, "jitter": true}; no policy, no pause.
 * Jitter takes up to half of the pause away, so that tasks that failed together do not come back together.
 */
export const retryDelay = `
create function sync.retry_delay(policy jsonb, attempt integer) returns interval language sql volatile as $$
  select make_interval(secs => least(
    coalesce((policy->>'maxDelaySeconds')::double precision, 86400),
    coalesce((policy->>'delaySeconds')::double precision, 0)
      * case policy->>'strategy' when 'exponential' then 2 ^ least(greatest(attempt, 1) - 1, 30) else 1 end
  ) * case when (policy->>'jitter')::boolean then 0.5 + random() / 2 else 1 end)
$$`

/**
 * Gives the agent the most important, then oldest ready task of the projects, with a lease and a run. Tasks that another
 * claim holds are passed over, so claims never wait for each other. No row: nothing is ready for this agent.
 */
const claimNextTask = `
create function sync.claim_next_task(agent uuid, instance uuid, lease interval, projects uuid[])
returns table (task_id uuid, run_id uuid) language plpgsql as $$
#variable_conflict use_column
declare
  kind text := (select agent_type from public.agents where id = agent);
  chosen uuid;
begin
  select r.id into chosen from sync.v_ready_tasks r
  where r.project_id = any (projects)
    and (r.assigned_agent_id is null or r.assigned_agent_id = agent)
    and (r.assigned_agent_type is null or r.assigned_agent_type = kind)
    and r.attempt_count < r.max_attempts
  order by r.priority_rank desc, r.created_at, r.id
  limit 1 for update skip locked;
  if chosen is null then return; end if;
  update public.tasks set
    status = 'in_progress', assigned_agent_id = agent, claimed_by_instance_id = instance, attempt_count = attempt_count + 1,
    lease_expires_at = date_trunc('milliseconds', clock_timestamp() + lease), next_retry_at = null
  where id = chosen;
  return query
    insert into public.task_runs (organization_id, project_id, task_id, agent_id, agent_instance_id, attempt, status, priority, queued_at, started_at, origin_device_id)
    select t.organization_id, t.project_id, t.id, agent, instance, t.attempt_count, 'running', t.priority, t.created_at,
      date_trunc('milliseconds', clock_timestamp()), nullif(current_setting('app.device_id', true), '')::uuid
    from public.tasks t where t.id = chosen
    returning task_id, id;
end $$`

/** One attempt is over without success: the task waits for the next one, or has failed. */
const endAttempt = `
create function sync.end_attempt(task uuid, recoverable boolean) returns void language sql as $$
  update public.tasks set
    status = case when recoverable and attempt_count < max_attempts then 'pending' else 'failed' end,
    next_retry_at = case when recoverable and attempt_count < max_attempts
      then date_trunc('milliseconds', now() + nullif(sync.retry_delay(retry_policy, attempt_count), interval '0')) end
  where id = task and status = 'in_progress'
$$`

/** Ends the attempts whose lease is over. Returns how many. */
export const sweepLeases = `
create function sync.sweep_leases() returns integer language plpgsql as $$
declare
  expired uuid[] := array(
    select id from public.tasks where lease_expires_at < now() and status = 'in_progress' order by id for update skip locked
  );
begin
  update public.task_runs set status = 'timed_out', finished_at = date_trunc('milliseconds', now()), error_message = 'The lease ran out.'
  where task_id = any (expired) and status = 'running';
  -- Those without a run of their own.
  perform sync.end_attempt(id, true) from unnest(expired) as id;
  return cardinality(expired);
end $$`

/** A task that nobody works on has no lease. */
const computeTaskLease = `
create function sync.compute_task_lease() returns trigger language plpgsql as $$
begin
  new.claimed_by_instance_id := null;
  new.lease_expires_at := null;
  return new;
end $$`

/** A task that is begun again has all its attempts again. */
const computeTaskReopened = `
create function sync.compute_task_reopened() returns trigger language plpgsql as $$
begin
  new.attempt_count := 0;
  new.next_retry_at := null;
  return new;
end $$`

/** A task that is no longer worked on ends its run: what the agent says of the task, it says of the attempt. */
const computeTaskRuns = `
create function sync.compute_task_runs() returns trigger language plpgsql as $$
begin
  update public.task_runs set
    status = case when new.status in ('completed', 'in_review') then 'completed' when new.status = 'failed' then 'failed' else 'cancelled' end,
    finished_at = date_trunc('milliseconds', now()), result = coalesce(result, new.result)
  where task_id = new.id and status = 'running';
  return null;
end $$`

const computeRunEnd = `
create function sync.compute_run_end() returns trigger language plpgsql as $$
begin
  perform sync.end_attempt(new.task_id, new.is_recoverable);
  return null;
end $$`

/** A parent is as far as its children on average; one that is done counts in full. */
const computeTaskProgress = `
create function sync.compute_task_progress() returns trigger language plpgsql as $$
declare
  parent uuid;
begin
  foreach parent in array array(
    select distinct id from unnest(array[
      case when tg_op <> 'INSERT' then old.parent_task_id end, case when tg_op <> 'DELETE' then new.parent_task_id end
    ]) as id where id is not null order by id
  ) loop
    -- Two children at once: the second one waits here, and then sees the first.
    perform from public.tasks where id = parent for no key update;
    update public.tasks set progress_percentage = mean.progress
    from (
      select round(avg(case when status = 'completed' then 100 else progress_percentage end), 2) as progress
      from public.tasks where parent_task_id = parent and deleted_at is null and status <> 'cancelled'
    ) mean
    where id = parent and mean.progress is not null and progress_percentage <> mean.progress;
  end loop;
  return null;
end $$`

/**
 * An agent is as its living instances are: busy while one of them is, online while one lives. Maintenance is declared by
 * people and stays until they end it. Each change of status is an event.
 */
const computeAgentStatus = `
create function sync.compute_agent_status() returns trigger language plpgsql as $$
declare
  affected uuid := coalesce(new.agent_id, old.agent_id);
  was text;
  became text;
begin
  select status into was from public.agents where id = affected for no key update;
  if was is null or was = 'maintenance' then return null; end if;
  select case when bool_or(status = 'busy') then 'busy' when count(*) > 0 then 'online' else 'offline' end into became
  from public.agent_instances where agent_id = affected and status in ('starting', 'idle', 'busy', 'draining');
  if became = was then return null; end if;
  update public.agents set status = became where id = affected;
  insert into public.agent_events (organization_id, agent_id, agent_instance_id, agent_label, event_type, severity, message, data)
  select organization_id, id, coalesce(new.id, old.id), name, 'agent.' || became,
    case when tg_op <> 'DELETE' and new.status = 'crashed' then 'warning' else 'info' end,
    format('%s is %s, was %s', name, became, was), jsonb_build_object('from', was, 'to', became)
  from public.agents where id = affected;
  return null;
end $$`

/** Instances that missed three heartbeats have crashed; what they held is free again. Returns how many. */
export const sweepInstances = `
create function sync.sweep_instances() returns integer language plpgsql as $$
declare
  crashed uuid[];
begin
  with silent as (
    select id from public.agent_instances
    where status in ('starting', 'idle', 'busy', 'draining')
      and last_heartbeat_at < now() - make_interval(secs => 3 * heartbeat_interval_seconds)
    order by id for update skip locked
  ), ended as (
    update public.agent_instances i set status = 'crashed', stopped_at = date_trunc('milliseconds', now()),
      exit_reason = coalesce(exit_reason, 'No heartbeat.'), current_task_id = null
    from silent where i.id = silent.id returning i.id
  )
  select coalesce(array_agg(id), '{}') into crashed from ended;
  update public.tasks set lease_expires_at = now() - interval '1 millisecond'
  where claimed_by_instance_id = any (crashed) and status = 'in_progress';
  return cardinality(crashed);
end $$`

/** Agents with runs that ended since their statistics were last computed. */
const staleAgents = 'create table sync.stale_agents (agent_id uuid primary key)'

const noteStaleAgent = `
create function sync.note_stale_agent() returns trigger language plpgsql as $$
begin
  insert into sync.stale_agents (agent_id) values (new.agent_id) on conflict do nothing;
  return null;
end $$`

/**
 * Statistics of agents from their runs: of those named, or of those that are stale. Not at the end of each run: an agent's row
 * goes to its whole organization. Returns how many changed.
 */
const refreshAgentStats = `
create function sync.refresh_agent_stats(named uuid[] default null) returns integer language plpgsql as $$
declare
  chosen uuid[];
  changed integer;
begin
  with gone as (
    delete from sync.stale_agents where named is null or agent_id = any (named) returning agent_id
  )
  select coalesce(named, array_agg(agent_id)) into chosen from gone;
  with stats as (
    select agent_id,
      count(*) filter (where status = 'completed') as completed,
      round((count(*) filter (where status = 'completed'))::numeric / nullif(count(*) filter (where status in ('completed', 'failed', 'timed_out')), 0), 4) as rate,
      round((avg(extract(epoch from duration)) filter (where status = 'completed') * 1000)::numeric, 3) as response_ms
    from public.task_runs where agent_id = any (chosen) group by agent_id
  )
  update public.agents a set
    total_tasks_completed = s.completed, success_rate = coalesce(s.rate, 0), average_response_time_ms = s.response_ms
  from stats s where a.id = s.agent_id
    and (a.total_tasks_completed, a.success_rate, a.average_response_time_ms) is distinct from (s.completed, coalesce(s.rate, 0), s.response_ms);
  get diagnostics changed = row_count;
  return changed;
end $$`

const triggers = [
  `create trigger a_lease_computed before update on tasks for each row
    when (old.status = 'in_progress' and new.status <> 'in_progress' and (new.lease_expires_at is not null or new.claimed_by_instance_id is not null))
    execute function sync.compute_task_lease()`,
  `create trigger c_runs_computed after update on tasks for each row
    when (old.status = 'in_progress' and new.status <> 'in_progress') execute function sync.compute_task_runs()`,
  `create trigger a_reopened_computed before update on tasks for each row
    when (old.status in ('completed', 'failed', 'cancelled') and new.status = 'pending' and new.attempt_count = old.attempt_count)
    execute function sync.compute_task_reopened()`,
  `create trigger d_progress_computed_insert after insert on tasks for each row
    when (new.parent_task_id is not null) execute function sync.compute_task_progress()`,
  `create trigger d_progress_computed_update after update of parent_task_id, progress_percentage, status, deleted_at on tasks for each row
    when (old.parent_task_id is not null or new.parent_task_id is not null) execute function sync.compute_task_progress()`,
  `create trigger d_stats_computed after update of status on task_runs for each row
    when (new.agent_id is not null and new.status in ('completed', 'failed', 'timed_out') and old.status is distinct from new.status)
    execute function sync.note_stale_agent()`,
  `create trigger c_end_computed after update of status on task_runs for each row
    when (new.task_id is not null and new.status in ('failed', 'timed_out') and old.status in ('pending', 'queued', 'running'))
    execute function sync.compute_run_end()`,
  `create trigger c_status_computed after insert or update of status or delete on agent_instances for each row
    execute function sync.compute_agent_status()`,
]
