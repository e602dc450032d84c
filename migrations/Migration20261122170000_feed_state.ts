import { Migration } from '@mikro-orm/migrations'

/**
 * What every snapshot of the hub begins with, as a function: its plan is made once per connection instead of at each opening, which comes in one
 * message with the beginning of the transaction and so cannot be a prepared statement. Taken before the WAL's positions are read, the
 * snapshot of the caller's transaction is not newer than these.
 */
export class Migration20261122170000_feed_state extends Migration {
  override up(): void {
    this.addSql(`
create function sync.feed_state() returns table (
  epoch text, pruned text, head text, at double precision, snapshot text, flushed text, inserted text, run text, capture text
) language plpgsql stable as $$
#variable_conflict use_column
begin
  return query
  select h.epoch, h.pruned_through_seq::text, (select coalesce(max(c.seq), 0)::text from public.sync_changes c),
    (extract(epoch from clock_timestamp()) * 1000)::float8, pg_current_snapshot()::text,
    (pg_current_wal_flush_lsn() - '0/0')::text, (pg_current_wal_insert_lsn() - '0/0')::text,
    sync.postgres_run(), (select s.capture from sync.settings s)
  from public.sync_heads h where h.id = 1;
end $$`)
  }

  override down(): void {
    this.addSql('drop function sync.feed_state()')
  }
}
