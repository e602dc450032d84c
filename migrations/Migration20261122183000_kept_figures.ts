import { Migration } from '@mikro-orm/migrations'

/**
 * Figures that the server keeps of agents: what they used and what that cost (`agents.usage_stats`, `task_runs.actual_cost`), how a session
 * went (`agent_sessions.success_rate`), and which capability a run has proven (`agent_capabilities.verified_at`). Triggers note what happened,
 * by plain inserts that wait for nobody, and the server's minute works it in.
 */
export class Migration20261122183000_kept_figures extends Migration {
  override up(): void {
    this.addSql('alter table sync.stale_agents drop constraint stale_agents_pkey')
    this.addSql('alter table sync.stale_agents alter column agent_id drop not null')
    this.addSql('alter table sync.stale_agents add column session_id uuid, add column run_id uuid')
    for (const statement of [usageNews, noteStaleAgent, refreshAgentStats, noteUsage, sumOf, refreshUsage])
      this.addSql(statement)
    for (const statement of triggers) this.addSql(statement)
    this.addSql(inFunction('sync.wanted_grants()', `'stale_agents')`, `'stale_agents', 'usage_news')`))
    this.addSql('select sync.secure()')
    for (const statement of countAnew) this.addSql(statement)
  }

  override down(): void {
    for (const name of ['y_usage_noted', 'y_usage_priced']) this.addSql(`drop trigger ${name} on token_usages`)
    this.addSql('drop trigger d_stats_computed on task_runs')
    this.addSql(formerTrigger)
    for (const name of ['refresh_usage_stats()', 'usage_sum(jsonb, jsonb)', 'note_usage()'])
      this.addSql(`drop function sync.${name}`)
    this.addSql(formerNoteStaleAgent)
    this.addSql(formerRefreshAgentStats)
    this.addSql('drop table sync.usage_news')
    this.addSql(inFunction('sync.wanted_grants()', `'stale_agents', 'usage_news')`, `'stale_agents')`))
    this.addSql('delete from sync.stale_agents')
    this.addSql('alter table sync.stale_agents drop column session_id, drop column run_id, add primary key (agent_id)')
    this.addSql('select sync.secure()')
  }
}

/** Replaces text of a function as it stands; fails when it is not in it. */
export const inFunction = (signature: string, before: string, after: string): string => `
do $$ declare
  definition text := pg_get_functiondef('${signature}'::regprocedure);
begin
  if position($t$${before}$t$ in definition) = 0 then
    raise exception '${signature} is not as it was expected.';
  end if;
  execute replace(definition, $t$${before}$t$, $t$${after}$t$);
end $$`

/** What was used since the figures were last brought up to date: of one project, agent, run and day (UTC) of one statement. */
const usageNews = `
create table sync.usage_news (
  project_id uuid, agent_id uuid, run_id uuid, day date not null, calls bigint not null, unpriced bigint not null,
  input_tokens bigint not null, output_tokens bigint not null, cost_usd numeric
)`

const noteStaleAgent = `
create or replace function sync.note_stale_agent() returns trigger language plpgsql as $$
begin
  insert into sync.stale_agents (agent_id, session_id, run_id) values (new.agent_id, new.session_id, new.id);
  if tg_op = 'UPDATE' then
    insert into sync.stale_agents (agent_id, session_id)
    select nullif(old.agent_id, new.agent_id), nullif(old.session_id, new.session_id)
    where old.agent_id is distinct from new.agent_id or old.session_id is distinct from new.session_id;
  end if;
  return null;
end $$`

const formerNoteStaleAgent = `
create or replace function sync.note_stale_agent() returns trigger language plpgsql as $$
begin
  insert into sync.stale_agents (agent_id) values (new.agent_id) on conflict do nothing;
  return null;
end $$`

/** Those that ended with or without success; what was cancelled says nothing of the agent. */
const rateOf = `round((count(*) filter (where status = 'completed'))::numeric / nullif(count(*) filter (where status in ('completed', 'failed', 'timed_out')), 0), 4)`

const statsOfAgents = `
  with stats as (
    select agent_id,
      count(*) filter (where status = 'completed') as completed,
      ${rateOf} as rate,
      round((avg(extract(epoch from duration)) filter (where status = 'completed') * 1000)::numeric, 3) as response_ms
    from public.task_runs where agent_id = any (chosen) group by agent_id
  )
  update public.agents a set
    total_tasks_completed = s.completed, success_rate = coalesce(s.rate, 0), average_response_time_ms = s.response_ms
  from stats s where a.id = s.agent_id
    and (a.total_tasks_completed, a.success_rate, a.average_response_time_ms) is distinct from (s.completed, coalesce(s.rate, 0), s.response_ms);
  get diagnostics changed = row_count;`

/**
 * Statistics of agents from their runs, of those named or of those that are stale, and with the stale ones: of the sessions of these
 * runs, and when the capabilities that a completed run's task asks for by name (\`execution_context.capabilities\`) were last proven, to
 * the day. Returns how many agents changed.
 */
const refreshAgentStats = `
create or replace function sync.refresh_agent_stats(named uuid[] default null) returns integer language plpgsql as $$
declare
  chosen uuid[];
  sessions uuid[];
  runs uuid[];
  changed integer;
begin
  with gone as (
    delete from sync.stale_agents where named is null or agent_id = any (named) returning *
  )
  select coalesce(named, array_agg(distinct agent_id)), array_agg(distinct session_id), array_agg(distinct run_id)
  into chosen, sessions, runs from gone;
${statsOfAgents}
  update public.agent_sessions s set success_rate = found.rate
  from (
    select session, (select ${rateOf} from public.task_runs r where r.session_id = session) as rate from unnest(sessions) as session
  ) found
  where s.id = found.session and s.success_rate is distinct from found.rate;
  update public.agent_capabilities c set verified_at = proven.at
  from (
    select r.agent_id, asked.name, max(coalesce(r.finished_at, r.updated_at)) as at
    from public.task_runs r join public.tasks t on t.id = r.task_id,
      jsonb_array_elements_text(
        case jsonb_typeof(t.execution_context -> 'capabilities') when 'array' then t.execution_context -> 'capabilities' else '[]' end
      ) as asked (name)
    where r.id = any (runs) and r.status = 'completed' and r.agent_id is not null
    group by r.agent_id, asked.name
  ) proven
  where c.agent_id = proven.agent_id and c.name = proven.name and c.is_enabled and c.deleted_at is null
    and (c.verified_at is null or c.verified_at < proven.at - interval '1 day');
  return changed;
end $$`

const formerRefreshAgentStats = `
create or replace function sync.refresh_agent_stats(named uuid[] default null) returns integer language plpgsql as $$
declare
  chosen uuid[];
  changed integer;
begin
  with gone as (
    delete from sync.stale_agents where named is null or agent_id = any (named) returning agent_id
  )
  select coalesce(named, array_agg(agent_id)) into chosen from gone;
${statsOfAgents}
  return changed;
end $$`

/** Of a statement that uploads usage, and of one that prices it. */
const noteUsage = `
create function sync.note_usage() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into sync.usage_news
    select project_id, agent_id, task_run_id, (occurred_at at time zone 'UTC')::date, count(*), count(*) filter (where cost_usd is null),
      sum(input_tokens), sum(output_tokens), sum(cost_usd)
    from made where num_nonnulls(project_id, agent_id, task_run_id) > 0 group by 1, 2, 3, 4;
  else
    insert into sync.usage_news
    select n.project_id, n.agent_id, n.task_run_id, (n.occurred_at at time zone 'UTC')::date, 0,
      count(*) filter (where n.cost_usd is null) - count(*) filter (where o.cost_usd is null), 0, 0, sum(coalesce(n.cost_usd, 0) - coalesce(o.cost_usd, 0))
    from became n join was o on o.id = n.id and o.occurred_at = n.occurred_at
    where n.cost_usd is distinct from o.cost_usd and num_nonnulls(n.agent_id, n.task_run_id) > 0 group by 1, 2, 3, 4;
  end if;
  return null;
end $$`

/** Two figures of usage as one. Numbers without zeros at their end, so that they are written in one way. */
const sumOf = `
create function sync.usage_sum(one jsonb, other jsonb) returns jsonb language sql immutable as $$
  select jsonb_object_agg(name, trim_scale(coalesce((one ->> name)::numeric, 0) + coalesce((other ->> name)::numeric, 0)))
  from unnest('{calls,unpricedCalls,inputTokens,outputTokens,costUsd}'::text[]) as name
$$`

/**
 * Works in what was used since, also into estimates that were closed within a day: \`usage_stats\` of agents, in total and of the seven newest days with usage, and what runs have cost.
 * Retention takes nothing away from them. At most 100,000 notes at a time. Returns how many rows changed.
 */
const refreshUsage = `
create function sync.refresh_usage_stats() returns integer language plpgsql as $$
declare
  taken sync.usage_news[];
  of_agent record;
  agents integer := 0;
  runs integer;
begin
  with gone as (
    delete from sync.usage_news where ctid = any (array(select ctid from sync.usage_news limit 100000)) returning *
  )
  select array_agg(row(gone.*)::sync.usage_news) into taken from gone;
  for of_agent in
    select agent_id, jsonb_object_agg(day, figures) as days from (
      select agent_id, day, jsonb_build_object(
        'calls', sum(calls), 'unpricedCalls', sum(unpriced), 'inputTokens', sum(input_tokens), 'outputTokens', sum(output_tokens),
        'costUsd', coalesce(sum(cost_usd), 0)
      ) as figures
      from unnest(taken) where agent_id is not null group by agent_id, day
    ) by_day group by agent_id order by agent_id
  loop
    update public.agents a set usage_stats = a.usage_stats
      || sync.usage_sum(a.usage_stats, (
        select jsonb_object_agg(name, total) from (
          select f.key as name, sum(f.value::numeric) as total from jsonb_each(of_agent.days) d, jsonb_each_text(d.value) f group by 1
        ) totals
      ))
      || jsonb_build_object('days', (
        select jsonb_object_agg(day, sync.usage_sum(a.usage_stats -> 'days' -> day, of_agent.days -> day)) from (
          select jsonb_object_keys(of_agent.days) as day
          union select key from jsonb_each(case jsonb_typeof(a.usage_stats -> 'days') when 'object' then a.usage_stats -> 'days' else '{}' end)
          order by day desc limit 7
        ) newest
      ))
    where a.id = of_agent.agent_id;
    if found then agents := agents + 1; end if;
  end loop;
  update public.task_runs r set actual_cost = coalesce(r.actual_cost, 0) + spent.cost
  from (select run_id, sum(cost_usd) as cost from unnest(taken) where run_id is not null group by run_id order by run_id) spent
  where r.id = spent.run_id and spent.cost <> 0;
  get diagnostics runs = row_count;
  -- Usage that was recorded offline arrives after what it is of has ended. Their trigger does the work.
  update public.cost_estimates set actual_cost = actual_cost
  where project_id in (select project_id from unnest(taken)) and status = 'closed' and closed_at > now() - interval '1 day';
  return agents + runs;
end $$`

const triggers = [
  'drop trigger d_stats_computed on task_runs',
  `create trigger d_stats_computed after insert or update of status, session_id, agent_id on task_runs for each row
    when (new.status in ('completed', 'failed', 'timed_out'))
    execute function sync.note_stale_agent()`,
  `create trigger y_usage_noted after insert on token_usages referencing new table as made
    for each statement execute function sync.note_usage()`,
  `create trigger y_usage_priced after update on token_usages referencing old table as was new table as became
    for each statement execute function sync.note_usage()`,
]

const formerTrigger = `
create trigger d_stats_computed after update of status on task_runs for each row
  when (new.agent_id is not null and new.status in ('completed', 'failed', 'timed_out') and old.status is distinct from new.status)
  execute function sync.note_stale_agent()`

/** What was there before, for the first run of the job. */
const countAnew = [
  `update agents set usage_stats = usage_stats - '{calls,unpricedCalls,inputTokens,outputTokens,costUsd,days}'::text[]
   where usage_stats ?| '{calls,unpricedCalls,inputTokens,outputTokens,costUsd,days}'`,
  `insert into sync.usage_news
   select null::uuid, agent_id, null::uuid, (occurred_at at time zone 'UTC')::date, count(*), count(*) filter (where cost_usd is null),
     sum(input_tokens), sum(output_tokens), sum(cost_usd)
   from token_usages where agent_id is not null group by 2, 4
   union all
   select null::uuid, agent_id, null::uuid, usage_date, sum(request_count), 0, sum(input_tokens), sum(output_tokens), sum(cost_usd)
   from token_usage_daily where agent_id is not null group by 2, 4`,
  `insert into sync.usage_news
   select null::uuid, null::uuid, u.task_run_id, max((u.occurred_at at time zone 'UTC')::date), 0, 0, 0, 0, sum(u.cost_usd)
   from token_usages u join task_runs r on r.id = u.task_run_id where r.actual_cost is null group by u.task_run_id`,
  `insert into sync.stale_agents (session_id) select distinct session_id from task_runs where session_id is not null`,
]
