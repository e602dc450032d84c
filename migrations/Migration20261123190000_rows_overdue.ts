import { Migration } from '@mikro-orm/migrations'
import { logPartitions as formerLogPartitions } from './Migration20261122090200_health.ts'
import { inFunction } from './Migration20261122183000_kept_figures.ts'

/**
 * A row waits in a default partition until a server makes its month, within a day: that is no fault. Rows that came more than 25 hours before
 * the newest sign of life of a server are: its job fails. By the clock of the database as it was served, so that a database that no server
 * has served yet, or an older copy of one, is not judged by the time at which somebody looks at it.
 */
export class Migration20261123190000_rows_overdue extends Migration {
  override up(): void {
    this.addSql('drop function sync.log_partitions()')
    this.addSql(logPartitions)
    for (const [signature, before, after] of readers) this.addSql(inFunction(signature, before, after))
  }

  override down(): void {
    for (const [signature, before, after] of readers) this.addSql(inFunction(signature, after, before))
    this.addSql('drop function sync.log_partitions()')
    this.addSql(formerLogPartitions)
  }
}

/**
 * Of each log: the months among this one and the next that have no partition, the rows that lie in the default one, and those of them that lie
 * there for too long (both counted to 10,001). A log of an application may say nothing of when its rows came.
 */
const logPartitions = `
create function sync.log_partitions() returns table (log text, months integer, missing text[], in_default integer, overdue integer)
language plpgsql stable as $$
declare
  default_partition oid;
  received text;
  since timestamptz := (select occurred_at from public.sync_changes where channel = 'canary' order by seq desc limit 1) - interval '25 hours';
begin
  for log, default_partition, received in
    select c.relname, p.partdefid, coalesce(a.attname, 'occurred_at')
    from pg_partitioned_table p join pg_class c on c.oid = p.partrelid
    left join pg_attribute a on a.attrelid = c.oid and a.attname = 'created_at' and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and p.partdefid <> 0 order by c.relname
  loop
    select count(*) into months from pg_inherits i where i.inhparent = format('public.%I', log)::regclass and i.inhrelid <> default_partition;
    missing := array(
      select partition from generate_series(0, 1) ahead
      cross join lateral (select log || to_char((now() at time zone 'UTC') + make_interval(months => ahead), '"_y"YYYY"m"MM') as partition) named
      where to_regclass(format('sync.%I', partition)) is null
    );
    execute format('select count(*), count(*) filter (where received < $1) from (select %I as received from %s limit 10001) rows',
      received, default_partition::regclass) into in_default, overdue using since;
    return next;
  end loop;
end $$`

const readers: readonly (readonly [signature: string, before: string, after: string])[] = [
  ['sync.check_integrity()', 'p.log, p.in_default::bigint', 'p.log, p.overdue::bigint'],
  ['sync.get_system_health()', 'coalesce(sum(p.in_default), 0)', 'coalesce(sum(p.overdue), 0)'],
  ['sync.get_system_health()', `'no rows wait for their month'`, `'no rows wait too long for their month'`],
  [
    'sync.get_system_health()',
    `'rows wait for their month: run`,
    `'rows have waited for their month for more than a day: run`,
  ],
]
