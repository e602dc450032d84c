import { Migration } from '@mikro-orm/migrations'

/** What a database can say of itself: whether its rows agree with each other, how quick and how full it is, and when it was last tended. */
export class Migration20261122090200_health extends Migration {
  override up(): void {
    for (const statement of [
      addHistograms,
      histogramQuantile,
      logPartitions,
      checkIntegrity,
      queryPerformance,
      moduleFigures,
      upkeep,
      systemHealth,
    ])
      this.addSql(statement)
  }

  override down(): void {
    for (const name of [
      'sync.get_system_health()',
      'sync.upkeep_of(text, text)',
      'sync.module_figures()',
      'sync.query_performance()',
      'sync.check_integrity()',
      'sync.log_partitions()',
      'sync.histogram_quantile(jsonb, double precision, double precision)',
      'sync.add_histograms(jsonb, jsonb)',
    ])
      this.addSql(`drop function ${name}`)
  }
}

/** Histograms of `query_statistics`: how many calls took up to so many milliseconds, by the upper bound; `inf` above all. */
const addHistograms = `
create function sync.add_histograms(one jsonb, other jsonb) returns jsonb language sql immutable as $$
  select coalesce(jsonb_object_agg(key, n), '{}') from (
    select key, sum(value::bigint) as n from (select * from jsonb_each_text(one) union all select * from jsonb_each_text(other)) both_of_them group by key
  ) summed
$$`

/** The bound below which that part of the calls lies; never more than the greatest that was measured. Null: no calls. */
const histogramQuantile = `
create function sync.histogram_quantile(histogram jsonb, part double precision, greatest_ms double precision) returns double precision language sql immutable as $$
  select least(min(bound), greatest_ms) from (
    select bound, sum(n) over (order by bound) as so_far, sum(n) over () as total
    from (select case key when 'inf' then 'infinity'::double precision else key::double precision end as bound, value::bigint as n from jsonb_each_text(histogram)) buckets
  ) running where so_far >= part * total
$$`

/** Of each log: the months among this one and the next that have no partition, and the rows that lie in the default one (counted to 10,001). */
export const logPartitions = `
create function sync.log_partitions() returns table (log text, months integer, missing text[], in_default integer) language plpgsql stable as $$
declare
  default_partition oid;
begin
  for log, default_partition in
    select c.relname, p.partdefid from pg_partitioned_table p join pg_class c on c.oid = p.partrelid
    where c.relnamespace = 'public'::regnamespace and p.partdefid <> 0 order by c.relname
  loop
    select count(*) into months from pg_inherits i where i.inhparent = format('public.%I', log)::regclass and i.inhrelid <> default_partition;
    missing := array(
      select partition from generate_series(0, 1) ahead
      cross join lateral (select log || to_char((now() at time zone 'UTC') + make_interval(months => ahead), '"_y"YYYY"m"MM') as partition) named
      where to_regclass(format('sync.%I', partition)) is null
    );
    execute format('select count(*) from (select from %s limit 10001) rows', default_partition::regclass) into in_default;
    return next;
  end loop;
end $$`

/**
 * What foreign keys cannot hold: references that name their table in a column, counters that are kept beside what they count, logs whose
 * rows have found no month. One row per look, also when it found nothing.
 */
const checkIntegrity = `
create function sync.check_integrity() returns table (looked_at text, table_name text, problems bigint, example text) language plpgsql stable as $$
declare
  reference record;
  kind text;
  target text;
begin
  looked_at := 'references';
  for reference in
    select * from (values
      ('feedback_loops', 'subject_type', 'subject_id', 'r.deleted_at is null'),
      ('notifications', 'subject_type', 'subject_id', 'r.deleted_at is null'),
      ('external_links', 'local_type', 'local_id', 'r.deleted_at is null'),
      ('document_links', 'target_type', 'target_id', 'r.deleted_at is null'),
      ('sync_conflicts', 'table_name', 'row_id', $c$r.status = 'open'$c$)
    ) known(source, type_column, id_column, alive)
  loop
    table_name := reference.source;
    problems := 0;
    example := null;
    for kind in execute format('select distinct r.%I from public.%I r where r.%I is not null and r.%I is not null and %s',
      reference.type_column, reference.source, reference.type_column, reference.id_column, reference.alive)
    loop
      -- Types are named in the singular. What names no table is not ours to judge.
      target := case when to_regclass(format('public.%I', kind)) is not null then kind when kind like '%y' then left(kind, -1) || 'ies' else kind || 's' end;
      continue when to_regclass(format('public.%I', target)) is null;
      declare
        found bigint;
        one text;
      begin
        execute format('select count(*), min(r.id::text) from public.%I r where r.%I = $1 and r.%I is not null and %s and not exists (select from public.%I t where t.id = r.%I)',
          reference.source, reference.type_column, reference.id_column, reference.alive, target, reference.id_column) into found, one using kind;
        problems := problems + found;
        example := coalesce(example, one);
      end;
    end loop;
    return next;
  end loop;

  looked_at := 'counters';
  table_name := 'conversations';
  select count(*), min(c.id::text) into problems, example from public.conversations c
  where c.message_count <> (select count(*) from public.messages m where m.conversation_id = c.id and m.deleted_at is null);
  return next;
  table_name := 'agents';
  select count(*), min(a.id::text) into problems, example from public.agents a
  where a.capability_names <> array(select distinct k.name from public.agent_capabilities k where k.agent_id = a.id and k.is_enabled and k.deleted_at is null order by k.name);
  return next;
  table_name := 'documents';
  select count(*), min(d.id::text) into problems, example from public.documents d
  where d.revision > 0 and not exists (select from public.document_versions v where v.id = d.head_version_id and v.document_id = d.id);
  return next;

  looked_at := 'default partition';
  return query select 'default partition', p.log, p.in_default::bigint, null::text from sync.log_partitions() p;
end $$`

/** Of the last five minutes, as the servers counted them, and a probe made here and now: a look-up by index and an aggregate. */
const queryPerformance = `
create function sync.query_performance() returns jsonb language plpgsql as $$
declare
  began timestamptz;
  probe_ms double precision;
  answer jsonb;
begin
  -- The best of three: the first may have to read catalogs and make plans.
  for round in 1 .. 3 loop
    began := clock_timestamp();
    perform from public.sync_heads where id = 1;
    perform count(*), max(updated_at) from (select updated_at from public.organizations limit 1000) sample;
    probe_ms := least(probe_ms, extract(epoch from clock_timestamp() - began) * 1000);
  end loop;
  select jsonb_build_object(
    'classification', case when calls = 0 then 'unknown' when total_ms / calls < 100 and p95_ms < 1000 then 'optimal' when total_ms / calls < 1000 then 'degraded' else 'critical' end,
    'window_seconds', 300, 'calls', calls, 'avg_ms', round((total_ms / nullif(calls, 0))::numeric, 3), 'p95_ms', p95_ms, 'max_ms', round(max_ms::numeric, 3),
    'slow_calls', slow_calls, 'error_calls', error_calls, 'probe_ms', round(probe_ms::numeric, 3)
  ) into answer
  from (
    select calls, total_ms, max_ms, slow_calls, error_calls, sync.histogram_quantile(histogram, 0.95, max_ms) as p95_ms
    from (
      select coalesce(sum(s.calls), 0)::bigint as calls, coalesce(sum(s.total_ms), 0) as total_ms, max(s.max_ms) as max_ms,
        coalesce(sum(s.slow_calls), 0)::bigint as slow_calls, coalesce(sum(s.error_calls), 0)::bigint as error_calls,
        (select jsonb_object_agg(key, n) from (
          select h.key, sum(h.value::bigint) as n from public.query_statistics q cross join lateral jsonb_each_text(q.histogram) h
          where q.bucket_start > now() - interval '5 minutes' group by h.key
        ) summed) as histogram
      from public.query_statistics s where s.bucket_start > now() - interval '5 minutes'
    ) counted
  ) judged;
  return answer;
end $$`

/** Each module is installed when all of its tables are there. Rows are estimates of the planner. */
const moduleFigures = `
create function sync.module_figures() returns jsonb language sql stable as $$
  with rows_of as (
    select coalesce(parent.relname, c.relname) as name, sum(greatest(c.reltuples, 0))::bigint as estimated_rows
    from pg_class c left join pg_inherits i on i.inhrelid = c.oid left join pg_class parent on parent.oid = i.inhparent
    where c.relkind = 'r' and coalesce(parent.relnamespace, c.relnamespace) = 'public'::regnamespace group by 1
  )
  select jsonb_object_agg(module, jsonb_build_object('installed', installed, 'tables', tables, 'estimated_rows', estimated_rows)) from (
    select case t.module when 'identity' then 'organizations' when 'planning' then 'tasks' else t.module end as module,
      bool_and(to_regclass(format('public.%I', t.table_name)) is not null) as installed, count(*) as tables, coalesce(sum(r.estimated_rows), 0) as estimated_rows
    from public.sync_tables t left join rows_of r on r.name = t.table_name group by 1
  ) modules
$$`

/** When something was last done, and whether that is too long ago. What was never begun is no fault. */
const upkeep = `
create function sync.upkeep_of(what text, longest text) returns jsonb language sql stable as $$
  with runs as (
    select started_at, finished_at, status from public.maintenance_runs where kind = what and not dry_run
    union all
    select started_at, finished_at, status from public.backup_runs where kind = case what when 'backup' then 'full' else what end
    -- Nothing can be restored before there is a backup: from the first one on a test is due.
    union all
    select min(finished_at), null, 'due' from public.backup_runs where what = 'restore_test' and kind = 'full' and status = 'completed' having count(*) > 0
  ), last as (
    select max(finished_at) filter (where status = 'completed') as done_at, min(started_at) as begun_at, bool_or(true) as begun from runs
  )
  select jsonb_build_object(
    'last_at', done_at, 'age_seconds', round(extract(epoch from now() - done_at)), 'limit_seconds', extract(epoch from longest::interval)::bigint,
    'ok', coalesce(coalesce(done_at, begun_at) > now() - longest::interval, true)
  ) from last
$$`

const systemHealth = `
create function sync.get_system_health() returns jsonb language plpgsql as $$
declare
  performance jsonb := sync.query_performance();
  modules jsonb := sync.module_figures();
  connections integer;
  longest double precision;
  hit_ratio double precision;
  most_connections integer := current_setting('max_connections')::integer;
  logs jsonb;
  in_default bigint;
  missing jsonb;
  sync_figures jsonb;
  upkeep jsonb;
  checks jsonb;
begin
  select count(*), coalesce(max(extract(epoch from now() - xact_start)) filter (where pid <> pg_backend_pid()), 0) into connections, longest
  from pg_stat_activity where datname = current_database();
  select round((blks_hit::numeric / nullif(blks_hit + blks_read, 0)), 4) into hit_ratio from pg_stat_database where datname = current_database();
  -- Until the server has made the first months, nothing is missing.
  select coalesce(jsonb_object_agg(p.log, p.in_default) filter (where p.in_default > 0), '{}'), coalesce(sum(p.in_default), 0),
    case when sum(p.months) > 0 then coalesce((select jsonb_agg(m order by m) from sync.log_partitions() q cross join lateral unnest(q.missing) m), '[]') else '[]' end
  into logs, in_default, missing from sync.log_partitions() p;
  sync_figures := jsonb_build_object(
    'open_conflicts', (select count(*) from (select from public.sync_conflicts where status = 'open' limit 10001) open),
    'devices', (select coalesce(jsonb_object_agg(sync_status, n), '{}') from (
      select sync_status, count(*) as n from public.devices where deleted_at is null and revoked_at is null group by sync_status) by_status),
    'oldest_unacknowledged_seconds', (select round(extract(epoch from now() - min(last_ack_at))) from public.sync_subscriptions where sync_status <> 'synced'),
    'rejected_in_24_hours', (select count(*) from public.sync_mutations where status = 'rejected' and received_at > now() - interval '24 hours')
  );
  upkeep := jsonb_build_object(
    'retention', sync.upkeep_of('retention', '50 hours'), 'analytics', sync.upkeep_of('analytics', '1 hour'), 'integrity_check', sync.upkeep_of('integrity_check', '50 hours'),
    'backup', sync.upkeep_of('backup', '26 hours'), 'restore_test', sync.upkeep_of('restore_test', '35 days')
  );
  select jsonb_agg(jsonb_build_object('name', name, 'status', status, 'value', value, 'limit', "limit", 'detail', detail) order by place) into checks
  from (
    select 1 as place, 'query_performance' as name, case performance->>'classification'
        when 'critical' then 'failed' when 'degraded' then 'warning' when 'optimal' then 'ok'
        else case when (performance->>'probe_ms')::double precision >= 1000 then 'failed' when (performance->>'probe_ms')::double precision >= 100 then 'warning' else 'ok' end end as status,
      to_jsonb(coalesce((performance->>'avg_ms')::double precision, (performance->>'probe_ms')::double precision)) as value, to_jsonb(100) as "limit",
      'milliseconds of an average statement: ' || (performance->>'classification') as detail
    union all
    select 2, 'modules', case when count(*) filter (where not (figures->>'installed')::boolean) = 0 and count(*) > 0 then 'ok' else 'failed' end,
      to_jsonb(count(*) filter (where (figures->>'installed')::boolean)), to_jsonb(count(*)), 'modules with all their tables'
      from jsonb_each(modules) as each_module(module, figures)
    union all
    select 3, 'connections', case when connections >= most_connections * 0.9 then 'warning' else 'ok' end, to_jsonb(connections), to_jsonb(most_connections), 'connections to this database'
    union all
    select 4, 'long_transaction', case when longest > 600 then 'warning' else 'ok' end, to_jsonb(round(longest)), to_jsonb(600), 'seconds of the longest open transaction'
    union all
    select 5, 'partitions', case when missing <> '[]' then 'warning' else 'ok' end, to_jsonb(jsonb_array_length(missing)), to_jsonb(0),
      case when missing = '[]' then 'no month is missing' else 'months are missing: run sync.ensure_partitions()' end
    union all
    select 6, 'default_partitions', case when in_default > 0 then 'warning' else 'ok' end, to_jsonb(in_default), to_jsonb(0),
      case when in_default = 0 then 'no rows wait for their month' else 'rows wait for their month: run sync.ensure_partitions()' end
    union all
    select 7 + row_number() over (order by what), what, case when (figures->>'ok')::boolean then 'ok' else 'warning' end, figures->'age_seconds', figures->'limit_seconds',
      case when (figures->>'ok')::boolean then 'seconds since the last one' else 'too long ago, or it fails: look for it in the log' end
      from jsonb_each(upkeep) as each_job(what, figures)
  ) looks;
  return jsonb_build_object(
    'status', case when checks @> '[{"status": "failed"}]' then 'unhealthy' when checks @> '[{"status": "warning"}]' then 'degraded' else 'healthy' end,
    'timestamp', now(),
    'database_modules', modules,
    'performance_metrics', jsonb_build_object(
      'active_connections', connections, 'max_connections', most_connections, 'database_size_mb', round(pg_database_size(current_database()) / 1048576.0, 2),
      'cache_hit_ratio', hit_ratio, 'longest_transaction_seconds', round(longest), 'query_performance', performance),
    'sync', sync_figures,
    'storage', jsonb_build_object(
      'largest_tables', (select coalesce(jsonb_agg(jsonb_build_object('table', name, 'bytes', bytes) order by bytes desc), '[]') from (
        select coalesce(i.inhparent, c.oid)::regclass::text as name, sum(pg_total_relation_size(c.oid)) as bytes
        from pg_class c left join pg_inherits i on i.inhrelid = c.oid
        where c.relkind in ('r', 'm') and c.relnamespace in ('public'::regnamespace, 'sync'::regnamespace) group by 1 order by 2 desc limit 10) largest),
      'default_partition_rows', logs, 'missing_partitions', missing),
    'maintenance', upkeep,
    'checks', checks
  );
end $$`
