import { Migration } from '@mikro-orm/migrations'

/**
 * Analytics that are worked out beforehand: materialized views (`mv_*`), refreshed without blocking their readers, and read through
 * views of the same name without `mv_` that show the rows of one organization. Row-level security does not cover materialized views,
 * so the application reads those views alone.
 */
export class Migration20261122090100_analytics extends Migration {
  override up(): void {
    for (const { name, key, query } of analytics) {
      this.addSql(`create materialized view mv_${name} as ${query}`)
      this.addSql(`create unique index mv_${name}_key on mv_${name} (${key}) nulls not distinct`)
      this.addSql(
        `create view ${name} with (security_barrier = true) as select * from mv_${name}
         where organization_id = nullif(current_setting('app.organization_id', true), '')::uuid`,
      )
    }
    this.addSql(refreshAnalytics)
  }

  override down(): void {
    this.addSql('drop function sync.refresh_analytics(text[])')
    for (const { name } of [...analytics].reverse()) {
      this.addSql(`drop view ${name}`)
      this.addSql(`drop materialized view mv_${name}`)
    }
  }
}

interface Analytics {
  readonly name: string
  readonly key: string
  readonly query: string
}

const analytics: readonly Analytics[] = [
  {
    name: 'project_overview',
    key: 'project_id',
    query: `
select p.organization_id, p.id as project_id, p.name, p.status,
  coalesce(t.tasks, 0) as tasks, coalesce(t.pending, 0) as pending, coalesce(t.assigned, 0) as assigned, coalesce(t.in_progress, 0) as in_progress,
  coalesce(t.blocked, 0) as blocked, coalesce(t.in_review, 0) as in_review, coalesce(t.completed, 0) as completed, coalesce(t.failed, 0) as failed,
  coalesce(t.cancelled, 0) as cancelled, t.progress, coalesce(u.cost_usd, 0) as cost_usd, coalesce(m.members, 0) as members,
  coalesce(c.open_conflicts, 0) as open_conflicts, greatest(p.updated_at, t.updated_at) as last_activity_at
from projects p
left join (
  select project_id, count(*) as tasks, count(*) filter (where status = 'pending') as pending, count(*) filter (where status = 'assigned') as assigned,
    count(*) filter (where status = 'in_progress') as in_progress, count(*) filter (where status = 'blocked') as blocked,
    count(*) filter (where status = 'in_review') as in_review, count(*) filter (where status = 'completed') as completed,
    count(*) filter (where status = 'failed') as failed, count(*) filter (where status = 'cancelled') as cancelled,
    round(avg(case when status = 'completed' then 100 else progress_percentage end) filter (where parent_task_id is null and status <> 'cancelled'), 2) as progress,
    max(updated_at) as updated_at
  from tasks where deleted_at is null group by project_id
) t on t.project_id = p.id
left join (select project_id, sum(cost_usd) as cost_usd from v_token_usage_history group by project_id) u on u.project_id = p.id
left join (select project_id, count(*) as members from project_members where deleted_at is null group by project_id) m on m.project_id = p.id
left join (select channel, count(*) as open_conflicts from sync_conflicts where status = 'open' group by channel) c on c.channel = 'project/' || p.id
where p.deleted_at is null`,
  },
  {
    name: 'task_throughput_daily',
    key: 'project_id, day',
    query: `
select max(organization_id::text)::uuid as organization_id, project_id, day, sum(created)::bigint as created, sum(completed)::bigint as completed,
  sum(failed)::bigint as failed, sum(retried)::bigint as retried,
  percentile_cont(0.5) within group (order by cycle_seconds) as median_cycle_seconds,
  sum(automated)::double precision / nullif(sum(ended), 0) as automated_share
from (
  select organization_id, project_id, (created_at at time zone 'UTC')::date as day, 1 as created, 0 as completed, 0 as failed, 0 as retried,
    null::double precision as cycle_seconds, 0 as automated, 0 as ended
  from tasks where deleted_at is null
  union all
  select organization_id, project_id, (completed_at at time zone 'UTC')::date, 0, 1, 0, 0,
    extract(epoch from completed_at - coalesce(started_at, created_at))::double precision, 0, 0
  from tasks where deleted_at is null and status = 'completed' and completed_at is not null
  union all
  select organization_id, project_id, (updated_at at time zone 'UTC')::date, 0, 0, 1, 0, null, 0, 0 from tasks where deleted_at is null and status = 'failed'
  union all
  select organization_id, project_id, (coalesce(finished_at, started_at, created_at) at time zone 'UTC')::date, 0, 0, 0, (attempt > 1)::integer, null,
    (status = 'completed' and automated)::integer, (status = 'completed')::integer
  from task_runs where project_id is not null
) happened group by project_id, day`,
  },
  {
    name: 'agent_performance_daily',
    key: 'organization_id, agent_id, day',
    query: `
select organization_id, agent_id, day, sum(runs)::bigint as runs, sum(completed)::bigint as completed, sum(failed)::bigint as failed,
  sum(completed)::double precision / nullif(sum(completed) + sum(failed), 0) as success_rate,
  avg(response_ms) as average_response_ms, sum(tokens)::bigint as tokens, sum(cost_usd) as cost_usd
from (
  select organization_id, agent_id, (coalesce(started_at, created_at) at time zone 'UTC')::date as day, 1 as runs, (status = 'completed')::integer as completed,
    (status in ('failed', 'timed_out'))::integer as failed, (extract(epoch from duration) * 1000)::double precision as response_ms, 0::bigint as tokens, 0::numeric as cost_usd
  from task_runs where agent_id is not null
  union all
  select organization_id, agent_id, usage_date, 0, 0, 0, null, input_tokens + output_tokens, cost_usd from v_token_usage_history where agent_id is not null
) worked group by organization_id, agent_id, day`,
  },
  {
    name: 'cost_daily',
    key: 'organization_id, project_id, agent_id, provider, model, day',
    query: `
select organization_id, project_id, agent_id, provider, model, usage_date as day, request_count as requests, input_tokens, output_tokens, cost_usd
from v_token_usage_history`,
  },
  {
    name: 'pipeline_health_daily',
    key: 'pipeline_id, day',
    query: `
select max(organization_id::text)::uuid as organization_id, max(project_id::text)::uuid as project_id, pipeline_id, (queued_at at time zone 'UTC')::date as day,
  count(*) as runs, count(*) filter (where status = 'completed') as completed, count(*) filter (where status in ('failed', 'timed_out')) as failed,
  count(*) filter (where status = 'completed')::double precision / nullif(count(*) filter (where status in ('completed', 'failed', 'timed_out')), 0) as success_rate,
  avg(extract(epoch from duration))::double precision as average_seconds, count(*) filter (where gate_status = 'failed') as gate_failures
from pipeline_executions group by pipeline_id, 4`,
  },
  {
    name: 'error_trends_daily',
    key: 'organization_id, category, code, day',
    query: `
select organization_id, category, code, day, sum(count)::bigint as count, sum(unrecoverable_count)::bigint as unrecoverable_count
from (
  select organization_id, category, code, (occurred_at at time zone 'UTC')::date as day, 1 as count, (not is_recoverable)::integer as unrecoverable_count from error_logs
  union all
  select organization_id, category, code, summary_date, count, unrecoverable_count from error_log_summaries
) errors group by organization_id, category, code, day`,
  },
  {
    name: 'learning_trends_weekly',
    key: 'organization_id, kind, week',
    query: `
select organization_id, kind, week, sum(patterns)::bigint as patterns, sum(occurrences)::bigint as occurrences,
  sum(successes)::double precision / nullif(sum(successes) + sum(failures), 0) as success_rate, sum(feedback_applied)::bigint as feedback_applied
from (
  select organization_id, kind, date_trunc('week', coalesce(last_seen_at, created_at) at time zone 'UTC')::date as week, 1 as patterns, occurrence_count as occurrences,
    success_count as successes, failure_count as failures, 0 as feedback_applied
  from patterns where deleted_at is null
  union all
  select f.organization_id, p.kind, date_trunc('week', coalesce(f.closed_at, f.updated_at) at time zone 'UTC')::date, 0, 0, 0, 0, 1
  from feedback_loops f join patterns p on p.id = f.subject_id
  where f.subject_type = 'pattern' and f.status in ('applied', 'verified') and f.deleted_at is null
) learned group by organization_id, kind, week`,
  },
]

/** One after the other; each is refreshed beside its old content, which readers go on reading. Returns rows and milliseconds of each. */
const refreshAnalytics = `
create function sync.refresh_analytics(wanted_views text[] default null) returns table (name text, row_count bigint, ms double precision) language plpgsql as $$
declare
  missing text := (
    select string_agg(wanted, ', ') from unnest(wanted_views) wanted
    where not exists (select from pg_matviews v where v.schemaname = 'public' and v.matviewname = wanted)
  );
  began timestamptz;
begin
  if missing is not null then
    raise exception 'No materialized view %', missing using errcode = 'undefined_table';
  end if;
  for name in
    select v.matviewname from pg_matviews v where v.schemaname = 'public' and (wanted_views is null or v.matviewname = any (wanted_views)) order by v.matviewname
  loop
    began := clock_timestamp();
    execute format('refresh materialized view concurrently public.%I', name);
    execute format('select count(*) from public.%I', name) into row_count;
    ms := extract(epoch from clock_timestamp() - began) * 1000;
    return next;
  end loop;
end $$`
