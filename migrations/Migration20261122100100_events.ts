import { Migration } from '@mikro-orm/migrations'
import { sweepInstances } from './Migration20261122010700_task_work.ts'

/**
 * Events: numbered in the order of their commits, read by subscriptions in that order, counted by the minute; and the event of a
 * process that crashed.
 */
export class Migration20261122100100_events extends Migration {
  override up(): void {
    for (const statement of [...tables, ...functions, trigger, sweepWithEvents]) this.addSql(statement)
  }

  override down(): void {
    this.addSql(sweepInstances.replace('create function', 'create or replace function'))
    this.addSql('drop trigger a_seq_computed on events')
    this.addSql('drop table sync.event_deliveries')
    this.addSql('drop table sync.event_windows')
    for (const name of [
      'sync.summarise_events()',
      'sync.note_deliveries(uuid, jsonb, text)',
      'sync.read_events(uuid, bigint, integer, uuid[], uuid)',
      'sync.event_matches(events, text, text, jsonb)',
      'sync.glob(text)',
      'sync.compute_event_seq()',
    ])
      this.addSql(`drop function ${name}`)
  }
}

/**
 * One row of event_metrics for each minute that is over, source and type: what was published then, what subscribers said of
 * deliveries since the last time, and how many events wait. Returns how many rows it wrote.
 */
export const summariseEvents = `
create function sync.summarise_events() returns integer language plpgsql as $$
declare
  -- Half a minute later, so that whoever was still writing has committed.
  until timestamptz := date_bin('1 minute', clock_timestamp() - interval '30 seconds', 'epoch');
  since timestamptz;
  written integer;
begin
  update sync.event_windows w set through = until from sync.event_windows was where w.id = was.id and was.through < until returning was.through into since;
  if since is null then return 0; end if;
  with gone as (
    delete from sync.event_deliveries where at < until returning *
  ), told as (
    select date_bin('1 minute', at, 'epoch') as bucket, organization_id, source, type, 0 as published,
      sum(delivered) as delivered, sum(failed) as failed, sum(retried) as retried
    from gone group by 1, 2, 3, 4
  ), latency as (
    select date_bin('1 minute', at, 'epoch') as bucket, organization_id, source, type,
      avg(ms) as avg_ms, percentile_cont(0.95) within group (order by ms) as p95_ms, max(ms) as max_ms
    from gone, unnest(latencies) as ms group by 1, 2, 3, 4
  ), published as (
    select date_bin('1 minute', created_at, 'epoch') as bucket, organization_id, source, type, count(*) as published, 0 as delivered, 0 as failed, 0 as retried
    from public.events where created_at >= greatest(since, until - interval '1 day') and created_at < until
    group by 1, 2, 3, 4
  ), summed as (
    select bucket, organization_id, source, type, sum(published) as published, sum(delivered) as delivered, sum(failed) as failed, sum(retried) as retried
    from (select * from told union all select * from published) parts group by 1, 2, 3, 4
  ), waiting as (
    select e.organization_id, e.source, e.type, count(*) as backlog
    from public.event_subscriptions s
    cross join lateral (
      select w.organization_id, w.source, w.type from public.events w
      where w.organization_id = s.organization_id and w.seq > s.cursor_seq and sync.event_matches(w, s.source_pattern, s.type_pattern, s.filter)
      order by w.seq limit 10000
    ) e
    group by 1, 2, 3
  )
  insert into public.event_metrics (
    occurred_at, organization_id, window_seconds, source, type, published_count, delivered_count, failed_count, retried_count, backlog,
    latency_avg_ms, latency_p95_ms, latency_max_ms
  )
  select bucket, organization_id, 60, source, type, published, delivered, failed, retried, coalesce(backlog, 0), avg_ms, p95_ms, max_ms
  from summed left join latency using (bucket, organization_id, source, type) left join waiting using (organization_id, source, type);
  get diagnostics written = row_count;
  return written;
end $$`

const functions = [
  /**
   * The number is drawn under a lock of the organization that is kept until the commit: whoever sees an event sees all that have
   * a lower number.
   */
  `
create function sync.compute_event_seq() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended(coalesce(new.organization_id::text, ''), 7165746966));
  new.seq := sync.next_event_seq();
  return new;
end $$`,
  /** A pattern of LIKE for one in which only * means anything. */
  `
create function sync.glob(pattern text) returns text language sql immutable as $$
  select replace(replace(replace(replace(pattern, '\\', '\\\\'), '%', '\\%'), '_', '\\_'), '*', '%')
$$`,
  `
create function sync.event_matches(event public.events, source_pattern text, type_pattern text, filter jsonb)
returns boolean language sql stable as $$
  select event.source like sync.glob(source_pattern) and event.type like sync.glob(type_pattern) and (filter = '{}' or (
    coalesce(event.project_id::text = filter->>'projectId', not filter ? 'projectId')
    and coalesce(event.agent_id::text = filter->>'agentId', not filter ? 'agentId')
    and coalesce(event.user_id::text = filter->>'userId', not filter ? 'userId')
    and coalesce(event.subject_type = filter->>'subjectType', not filter ? 'subjectType')
    and coalesce(event.subject_id::text = filter->>'subjectId', not filter ? 'subjectId')
    and coalesce(event.correlation_id::text = filter->>'correlationId', not filter ? 'correlationId')
    and coalesce(filter->'priority' ? event.priority, true)
    and coalesce(event.event_data @> (filter->'data'), true)
  ))
$$`,
  /**
   * The next events of a subscription after a number, oldest first, as subscribers get them: {events, through}. Up to \`through\`
   * there are no others. At most 10,000 are looked at, so \`through\` may move without any. \`projects\`: those that may be seen;
   * events of no project are for everyone in the organization. With a replay, only what that covers.
   */
  `
create function sync.read_events(subscription uuid, after bigint, most integer, projects uuid[], replay uuid default null)
returns jsonb language plpgsql stable as $$
declare
  s public.event_subscriptions := (select t from public.event_subscriptions t where t.id = subscription);
  r public.event_replays := (select t from public.event_replays t where t.id = replay);
begin
  return (
    with scanned as (
      select e.*, (e.project_id is null or e.project_id = any (projects))
        and sync.event_matches(e, s.source_pattern, s.type_pattern, s.filter)
        and (r.id is null or sync.event_matches(e, '*', '*', r.filter)) as wanted
      from public.events e
      where e.organization_id = s.organization_id and e.seq > after
        and (r.to_seq is null or e.seq <= r.to_seq)
        and (r.from_time is null or e.occurred_at >= r.from_time) and (r.to_time is null or e.occurred_at < r.to_time)
      order by e.seq limit 10000
    ), matching as (
      select * from scanned where wanted order by seq limit most
    )
    select jsonb_build_object(
      'through', case when count(*) = most then max(m.seq) else coalesce((select max(seq) from scanned), after) end,
      'events', coalesce(jsonb_agg(jsonb_build_object(
        'id', m.id, 'seq', m.seq, 'source', m.source, 'type', m.type, 'occurredAt', to_char(m.occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'receivedAt', to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'projectId', m.project_id, 'agentId', m.agent_id, 'userId', m.user_id, 'deviceId', m.device_id,
        'subjectType', m.subject_type, 'subjectId', m.subject_id, 'data', m.event_data, 'priority', m.priority,
        'schemaVersion', m.schema_version, 'correlationId', m.correlation_id, 'causationId', m.causation_id,
        'replay', r.id is not null, 'replayId', r.id
      ) order by m.seq), '[]')
    ) from matching m
  );
end $$`,
  /** Notes for the statistics what became of events, as read_events returned them. */
  `
create function sync.note_deliveries(organization uuid, delivered jsonb, outcome text) returns void language sql as $$
  insert into sync.event_deliveries (organization_id, source, type, delivered, failed, retried, latencies)
  select organization, e->>'source', e->>'type', count(*) filter (where outcome = 'delivered'),
    count(*) filter (where outcome = 'failed'), count(*) filter (where outcome = 'retried'),
    case when outcome = 'delivered' then array_agg(greatest(0, extract(epoch from clock_timestamp() - (e->>'receivedAt')::timestamptz) * 1000)::double precision) else '{}' end
  from jsonb_array_elements(delivered) as e group by e->>'source', e->>'type'
$$`,
  summariseEvents,
]

const tables = [
  `
create table sync.event_deliveries (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  organization_id uuid not null references public.organizations on delete cascade,
  source text not null,
  type text not null,
  delivered bigint not null default 0,
  failed bigint not null default 0,
  retried bigint not null default 0,
  latencies double precision[] not null default '{}'
)`,
  'create index event_deliveries_at_idx on sync.event_deliveries (at)',
  'create index event_deliveries_organization_id_idx on sync.event_deliveries (organization_id)',
  /** Up to when minutes are summarised. */
  'create table sync.event_windows (id integer primary key check (id = 1), through timestamptz not null)',
  `insert into sync.event_windows (id, through) values (1, date_bin('1 minute', now(), 'epoch'))`,
]

const trigger =
  'create trigger a_seq_computed before insert on events for each row execute function sync.compute_event_seq()'

/** As before; and each instance that crashed is an event of its own, whether or not its agent has others. */
const sweepWithEvents = `
create or replace function sync.sweep_instances() returns integer language plpgsql as $$
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
    from silent where i.id = silent.id returning i.*
  ), told as (
    insert into public.agent_events (organization_id, agent_id, agent_instance_id, agent_label, event_type, severity, message, data)
    select i.organization_id, i.agent_id, i.id, a.name, 'instance.crashed', 'error',
      format('An instance of %s sent no heartbeat for %s s', a.name, 3 * i.heartbeat_interval_seconds),
      jsonb_build_object('lastHeartbeatAt', i.last_heartbeat_at, 'deviceId', i.device_id)
    from ended i join public.agents a on a.id = i.agent_id
  )
  select coalesce(array_agg(id), '{}') into crashed from ended;
  update public.tasks set lease_expires_at = now() - interval '1 millisecond'
  where claimed_by_instance_id = any (crashed) and status = 'in_progress';
  return cardinality(crashed);
end $$`
