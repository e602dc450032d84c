import { Migration } from '@mikro-orm/migrations'

/** Runs of more kinds are written down, and months of a log that nothing is left of can be dropped. */
export class Migration20261122164100_upkeep extends Migration {
  override up(): void {
    this.addSql('alter table maintenance_runs drop constraint maintenance_runs_kind_check')
    this.addSql(kinds([...known, 'prune', 'repricing']))
    this.addSql(dropEmptyPartitions)
  }

  override down(): void {
    this.addSql('drop function sync.drop_empty_partitions(text, timestamptz)')
    this.addSql(`delete from maintenance_runs where kind in ('prune', 'repricing')`)
    this.addSql('alter table maintenance_runs drop constraint maintenance_runs_kind_check')
    this.addSql(kinds(known))
  }
}

const known = [
  'retention',
  'partitions',
  'analytics',
  'rollup',
  'memory_decay',
  'lease_sweep',
  'embedding',
  'analyze',
  'integrity_check',
  'backup_check',
]

const kinds = (list: readonly string[]): string =>
  `alter table maintenance_runs add constraint maintenance_runs_kind_check check (kind in (${list.map((kind) => `'${kind}'`).join(', ')}))`

/**
 * Drops the months of a log that were over at \`before\` and have no rows. Who reads the log for long is not waited for: then the month
 * stays until the next time. Returns how many it dropped.
 */
const dropEmptyPartitions = `
create function sync.drop_empty_partitions(target text, before timestamptz) returns integer language plpgsql as $$
declare
  partition text;
  full_of boolean;
  dropped integer := 0;
begin
  perform set_config('lock_timeout', '2s', true);
  for partition in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = ('public.' || quote_ident(target))::regclass and c.relname ~ '_y[0-9]{4}m[0-9]{2}$'
      and (to_date(right(c.relname, 7), 'YYYY"m"MM') + interval '1 month') at time zone 'UTC' <= before
    order by c.relname
  loop
    execute format('select exists (select from sync.%I)', partition) into full_of;
    continue when full_of;
    begin
      -- Nobody adds a row between the look and the drop.
      execute format('lock table public.%I, sync.%I in access exclusive mode', target, partition);
      execute format('select exists (select from sync.%I)', partition) into full_of;
      if not full_of then
        execute format('drop table sync.%I', partition);
        dropped := dropped + 1;
      end if;
    exception when lock_not_available then null;
    end;
  end loop;
  return dropped;
end $$`
