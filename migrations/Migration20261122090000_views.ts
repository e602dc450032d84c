import { Migration } from '@mikro-orm/migrations'

/**
 * Views for people and programs that read the database itself. All run with the rights of their reader (`security_invoker`), so
 * that they show nobody more than the tables do.
 */
export class Migration20261122090000_views extends Migration {
  override up(): void {
    this.addSql(availability)
    for (const [name, query] of Object.entries(views))
      this.addSql(`create view ${name} with (security_invoker = true) as ${query}`)
    this.addSql('alter view sync.v_ready_tasks set schema public')
    this.addSql(pointClaimsTo('public', 'sync'))
    this.addSql(defineRowSyncStatus)
    this.addSql('select sync.define_row_sync_status()')
  }

  override down(): void {
    this.addSql('drop view v_row_sync_status')
    this.addSql('drop function sync.define_row_sync_status()')
    this.addSql('alter view v_ready_tasks set schema sync')
    this.addSql(pointClaimsTo('sync', 'public'))
    for (const name of Object.keys(views).reverse()) this.addSql(`drop view ${name}`)
    this.addSql('drop function sync.availability(interval)')
  }
}

const integration = (provider: string, columns: string): string => `
select id, organization_id, project_id, name, status, ${columns}, installation_id, sync_settings, last_synced_at, error_count, last_error,
  created_by_user_id, created_by_agent_id, version, created_at, updated_at
from integrations where provider = '${provider}' and deleted_at is null`

const views = {
  cancelled_projects: `
select id, organization_id, project_id, project_name, description, language, stage, reason, owner_user_id, closed_by_user_id, closed_by_label,
  closed_at as cancelled_at, metadata
from project_closures where kind = 'cancelled'`,

  archived_projects: `
select id, organization_id, project_id, project_name, description, language, stage, reason, completed_at, owner_user_id, closed_by_user_id,
  closed_by_label, closed_at as archived_at, archive_path, archive_sha256, metadata
from project_closures where kind = 'archived'`,

  micro_steps: `
select id, organization_id, project_id, plan_id, macro_step_id, parent_task_id, title, description, status, priority, position, parallel_group,
  assigned_agent_id, assigned_agent_type, assigned_user_id, execution_context, expected_output, result, progress_percentage, estimated_hours, actual_hours,
  attempt_count, max_attempts, deadline, tags, started_at, completed_at, metadata, created_by_user_id, created_by_agent_id, version, created_at, updated_at
from tasks where kind = 'micro_step' and deleted_at is null`,

  github_integrations: integration('github', 'repository_owner, repository_name'),
  linear_integrations: integration('linear', 'external_team_id, external_workspace_id'),
  slack_integrations: integration('slack', 'external_workspace_id, external_channel_id'),

  // Nothing from which a secret could be told: no ciphertext, no fingerprint.
  credential_summaries: `
select id, organization_id, user_id, provider, kind, label, key_id, last_four, account_label, scopes, spend_limit_usd,
  case when revoked_at is not null then 'revoked' when expires_at <= now() then 'expired' else 'active' end as status,
  expires_at, last_used_at, last_rotated_at, revoked_at, created_at, updated_at
from credentials`,

  // The worst of an agent's devices. A device that has nothing open may still have said so before a conflict was opened for it.
  v_agent_sync_status: `
select a.id as agent_id, a.organization_id, a.name,
  case greatest(max(case d.sync_status when 'conflict' then 3 when 'local' then 2 when 'syncing' then 1 else 0 end), case when c.open_conflicts > 0 then 3 end)
    when 3 then 'conflict' when 2 then 'local' when 1 then 'syncing' when 0 then 'synced' end as sync_status,
  count(d.id)::integer as devices, coalesce(sum(d.pending_mutations), 0)::integer as pending_mutations, coalesce(c.open_conflicts, 0) as open_conflicts,
  max(d.last_seen_at) as last_seen_at
from agents a
left join devices d on d.agent_id = a.id and d.deleted_at is null and d.revoked_at is null
left join (select agent_id, count(*)::integer as open_conflicts from sync_conflicts where status = 'open' group by agent_id) c on c.agent_id = a.id
where a.deleted_at is null
group by a.id, c.open_conflicts`,

  v_token_usage_history: `
select organization_id, usage_date, project_id, agent_id, provider, model, sum(request_count)::bigint as request_count,
  sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens, sum(cost_usd) as cost_usd
from (
  select organization_id, (occurred_at at time zone 'UTC')::date as usage_date, project_id, agent_id, provider, model, 1::bigint as request_count,
    input_tokens, output_tokens, coalesce(cost_usd, 0) as cost_usd
  from token_usages
  union all
  select organization_id, usage_date, project_id, agent_id, provider, model, request_count, input_tokens, output_tokens, cost_usd from token_usage_daily
) used
group by organization_id, usage_date, project_id, agent_id, provider, model`,

  // Of the last 30 days. \`met\` is null where nothing was measured.
  v_success_metrics: `
with runs as (
  select organization_id, count(*) filter (where status = 'completed') as completed, count(*) filter (where status = 'completed' and automated) as automated,
    count(*) filter (where status in ('completed', 'failed', 'timed_out')) as ended
  from task_runs where finished_at > now() - interval '30 days' group by organization_id
), failures as (
  select organization_id, count(*) filter (where not is_recoverable) as unrecoverable
  from error_logs where occurred_at > now() - interval '30 days' and severity in ('error', 'critical') group by organization_id
), measured as (
  select o.id as organization_id, m.metric, m.value, m.target, m.at_least
  from organizations o
  left join runs r on r.organization_id = o.id
  left join failures f on f.organization_id = o.id
  cross join lateral (values
    ('automation_level', r.automated::double precision / nullif(r.completed, 0), 0.95::double precision, true),
    ('unrecoverable_errors', coalesce(f.unrecoverable, 0)::double precision / nullif(r.ended, 0), 0.01, false)
  ) m(metric, value, target, at_least)
  where o.deleted_at is null
  union all
  select null, 'availability', sync.availability(), 0.999, true
)
select organization_id, metric, round(value::numeric, 6)::double precision as value, target,
  case when at_least then value >= target else value <= target end as met
from measured`,
} as const

/** A claim asks what is ready: by the name that the view has now. */
function pointClaimsTo(schema: string, before: string): string {
  return `
do $$ begin
  execute replace(pg_get_functiondef('sync.claim_next_task(uuid, uuid, interval, uuid[])'::regprocedure), '${before}.v_ready_tasks', '${schema}.v_ready_tasks');
end $$`
}

/**
 * One row per synced row: \`conflict\` while one is open on it, else \`synced\`, which is what the server knows of it. The view is made
 * of the tables that are there; a migration that adds or drops a synced table calls this again (a test looks).
 */
const defineRowSyncStatus = `
create function sync.define_row_sync_status() returns void language plpgsql as $$
declare
  parts text := (
    select string_agg(
      format('select %1$L::text as table_name, id as row_id, %2$s as organization_id, channel, version, updated_at from public.%1$I%3$s', c.relname,
        case when 'organization_id' = any (c.columns) then 'organization_id' else 'null::uuid' end,
        case when 'deleted_at' = any (c.columns) then ' where deleted_at is null' else '' end),
      ' union all ' order by c.relname)
    from (
      select t.relname, array_agg(a.attname::text) as columns
      from pg_class t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
      where t.relnamespace = 'public'::regnamespace and t.relkind = 'r' group by t.oid
    ) c where c.columns @> array['id', 'channel', 'version', 'updated_at']
  );
begin
  drop view if exists public.v_row_sync_status;
  execute 'create view public.v_row_sync_status with (security_invoker = true) as
    select r.table_name, r.row_id, r.organization_id, r.channel, r.version, r.updated_at,
      case when exists (select from public.sync_conflicts c where c.table_name = r.table_name and c.row_id = r.row_id and c.status = ''open'')
        then ''conflict'' else ''synced'' end as sync_status
    from (' || parts || ') r';
end $$`

/**
 * The part of the time, from the first sign of life in the window until now, in which a server was up: each writes \`server.up\` = 1
 * every minute while it is ready. A silence counts from where the next sign was due. Null: there is none.
 */
const availability = `
create function sync.availability(over interval default '30 days') returns double precision language sql stable as $$
  with signs as (
    select occurred_at, coalesce(lead(occurred_at) over (order by occurred_at), now()) as next
    from public.system_metrics where metric_name = 'server.up' and value >= 1 and occurred_at > now() - over
  )
  select case when min(occurred_at) < now() then 1 - sum(
    case when next - occurred_at > interval '90 seconds' then extract(epoch from next - occurred_at) - 60 else 0 end
  )::double precision / extract(epoch from now() - min(occurred_at))::double precision end from signs
$$`
