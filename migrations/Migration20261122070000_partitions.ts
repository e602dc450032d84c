import { Migration } from '@mikro-orm/migrations'

/**
 * Large logs are partitioned by month of `occurred_at`, so that old months go by dropping a table. The partitions live in schema
 * `sync`, where MikroORM's comparison does not look; to it and to everybody else each log is one table of `public`.
 *
 * A migration makes such a table as any other and then calls `sync.partition_by_month(table)`. What belongs to no month that is
 * there is kept by a default partition, and moved when `sync.ensure_partitions` makes its month.
 */
export class Migration20261122070000_partitions extends Migration {
  override up(): void {
    this.addSql(rebuildTable)
    this.addSql(partitionByMonth)
    this.addSql(ensurePartitions)
    this.addSql(dropPartitions)
    for (const table of logs) this.addSql(`select sync.partition_by_month('${table}')`)
  }

  override down(): void {
    for (const table of logs) this.addSql(`select sync.rebuild_table('${table}', '')`)
    this.addSql('drop function sync.drop_partitions(text, timestamptz)')
    this.addSql('drop function sync.ensure_partitions(integer)')
    this.addSql('drop function sync.partition_by_month(text)')
    this.addSql('drop function sync.rebuild_table(text, text)')
  }
}

const logs = [
  'agent_events',
  'audit_logs',
  'error_logs',
  'event_metrics',
  'events',
  'integration_events',
  'memory_logs',
  'system_metrics',
  'token_usages',
  'tool_audit_logs',
]

/**
 * A table cannot become partitioned, or stop to be, so another one takes its place: same columns, constraints, indexes and
 * triggers under the same names, same rows. `clause` is what follows the columns in CREATE TABLE.
 */
const rebuildTable = `
create function sync.rebuild_table(target text, clause text) returns void language plpgsql as $$
declare
  was oid := ('public.' || quote_ident(target))::regclass;
  replaced text := target || '_replaced';
  columns text := (
    select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
    where attrelid = was and attnum > 0 and not attisdropped and attgenerated = ''
  );
  parts text[] := array(
    select format('alter table public.%I add constraint %I %s', target, conname, pg_get_constraintdef(oid))
    from pg_constraint where conrelid = was and contype in ('p', 'u', 'c', 'f') order by contype = 'f', conname
  ) || array(
    select pg_get_indexdef(indexrelid) from pg_index i
    where indrelid = was and not exists (select from pg_constraint c where c.conrelid = was and c.conindid = i.indexrelid)
  );
  -- Rows are moved as they are, before there are triggers that would change them.
  triggers text[] := array(select pg_get_triggerdef(oid) from pg_trigger where tgrelid = was and not tgisinternal);
  part text;
begin
  execute format('alter table public.%I rename to %I', target, replaced);
  for part in select conname from pg_constraint where conrelid = was and contype in ('p', 'u', 'c', 'f') loop
    execute format('alter table public.%I drop constraint %I', replaced, part);
  end loop;
  for part in select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = was loop
    execute format('drop index public.%I', part);
  end loop;
  execute format('create table public.%I (like public.%I including defaults including generated including storage) %s', target, replaced, clause);
  foreach part in array parts loop
    -- An index of a partitioned table is defined ON ONLY it; the new one must reach all partitions.
    execute replace(part, ' ON ONLY ', ' ON ');
  end loop;
  if clause <> '' then
    execute format('create table sync.%I partition of public.%I default', target || '_default', target);
  end if;
  execute format('insert into public.%1$I (%3$s) select %3$s from public.%2$I', target, replaced, columns);
  execute format('drop table public.%I', replaced);
  foreach part in array triggers loop
    execute part;
  end loop;
end $$`

const partitionByMonth = `
create function sync.partition_by_month(target text) returns void language plpgsql as $$
begin
  perform sync.rebuild_table(target, 'partition by range (occurred_at)');
end $$`

/**
 * Makes the partitions of this month, of as many months ahead, and of those whose rows wait in a default partition; months
 * begin in UTC. Returns how many it made. Doing it again makes none.
 */
const ensurePartitions = `
create function sync.ensure_partitions(months_ahead integer default 3) returns integer language plpgsql as $$
declare
  parent record;
  month timestamp;
  partition text;
  made integer := 0;
begin
  perform pg_advisory_xact_lock(7165746965);
  for parent in
    select c.relname, (
      select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
      where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = ''
    ) as columns
    from pg_partitioned_table p join pg_class c on c.oid = p.partrelid
    join pg_attribute a on a.attrelid = c.oid and a.attnum = p.partattrs[0]
    where c.relnamespace = 'public'::regnamespace and p.partstrat = 'r' and a.attname = 'occurred_at'
    order by c.relname
  loop
    for month in execute format($f$
      select generate_series(date_trunc('month', now() at time zone 'UTC'), date_trunc('month', now() at time zone 'UTC') + make_interval(months => $1), '1 month')
      union
      select date_trunc('month', occurred_at at time zone 'UTC') from sync.%I
      order by 1 $f$, parent.relname || '_default') using months_ahead
    loop
      partition := parent.relname || to_char(month, '"_y"YYYY"m"MM');
      continue when to_regclass('sync.' || quote_ident(partition)) is not null;
      execute format('create table sync.%I (like public.%I including defaults including generated including constraints including storage)', partition, parent.relname);
      execute format(
        'with moved as (delete from sync.%I where occurred_at >= %L and occurred_at < %L returning *) insert into sync.%I (%s) select %5$s from moved',
        parent.relname || '_default', month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC', partition, parent.columns);
      execute format('alter table public.%I attach partition sync.%I for values from (%L) to (%L)',
        parent.relname, partition, month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
      made := made + 1;
    end loop;
  end loop;
  return made;
end $$`

/** Drops the months of a log that were over at \`before\`, with all that is in them. Returns how many. */
const dropPartitions = `
create function sync.drop_partitions(target text, before timestamptz) returns integer language plpgsql as $$
declare
  partition text;
  dropped integer := 0;
begin
  for partition in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = ('public.' || quote_ident(target))::regclass and c.relname ~ '_y[0-9]{4}m[0-9]{2}$'
      and to_timestamp(right(c.relname, 7), 'YYYY"m"MM') is not null
      and (to_date(right(c.relname, 7), 'YYYY"m"MM') + interval '1 month') at time zone 'UTC' <= before
  loop
    execute format('drop table sync.%I', partition);
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$`
