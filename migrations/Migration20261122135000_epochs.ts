import { Migration } from '@mikro-orm/migrations'
import { ensureEpoch as formerEnsureEpoch } from './Migration20261122010300_capture.ts'

/**
 * An older copy of the same database (a copied folder, a snapshot of its disk) cannot be told by what identifies a system: its
 * log goes back and then grows another way, under the same positions. But whoever puts a copy in place starts Postgres, and a
 * start has a time. So before anything is logged after a start, another epoch begins, which knows where the one before
 * it ended *here*: a cursor of a former epoch goes on if it is not beyond that end, and is of a history that this database never
 * had if it is.
 *
 *     epoch a ────100   copy taken at 100: a cursor (a, 90) goes on, (a, 150) does not
 *                    └─ epoch b ───       a cursor of b means these entries, whatever another copy calls its own
 */
export class Migration20261122135000_epochs extends Migration {
  override up(): void {
    this.addSql('alter table sync.settings add column started timestamptz')
    this.addSql(postgresRun)
    this.addSql(formerEpochs)
    this.addSql(continueEpoch)
    this.addSql(ensureEpochByStart)
    this.addSql(beginEpoch)
    // Deferred triggers of one row run in the order of their names: before close_commit draws a number.
    this.addSql(`create constraint trigger begin_epoch after insert on sync.open_commits
      deferrable initially deferred for each row execute function sync.begin_epoch()`)
    this.addSql('alter table sync.open_commits enable always trigger begin_epoch')
  }

  override down(): void {
    this.addSql('drop trigger begin_epoch on sync.open_commits')
    this.addSql('drop function sync.begin_epoch()')
    this.addSql(formerEnsureEpoch.replace('create function', 'create or replace function'))
    this.addSql('drop function sync.continue_epoch()')
    this.addSql('drop table sync.former_epochs')
    this.addSql('drop function sync.postgres_run()')
    this.addSql('alter table sync.settings drop column started')
  }
}

/** Names this run of Postgres: the seconds since 1970 at which it was started. */
const postgresRun = `
create function sync.postgres_run() returns text language sql stable as $$
  select extract(epoch from pg_postmaster_start_time())::text
$$`

/** `heir`: the epoch that went on with its positions up to `ended_at`. An epoch that was minted for a gap is nobody's heir. */
const formerEpochs = `
create table sync.former_epochs (
  epoch text primary key,
  heir text not null,
  ended_at bigint not null
)`

/** Called while nobody logs: with triggers by the first to commit, with the WAL before a writer takes the log. */
const continueEpoch = `
create function sync.continue_epoch() returns void language plpgsql as $$
declare
  head public.sync_heads;
  next text := gen_random_uuid()::text;
begin
  select * into strict head from public.sync_heads where id = 1 for update;
  delete from sync.former_epochs where heir <> head.epoch or ended_at < head.pruned_through_seq;
  update sync.former_epochs set heir = next;
  insert into sync.former_epochs (epoch, heir, ended_at) values (head.epoch, next, greatest(
    head.pruned_through_seq, (select max(seq) from public.sync_changes), (select max(last_seq) from public.sync_capture)));
  update public.sync_heads set epoch = next, updated_at = now() where id = 1;
end $$`

/**
 * The epoch of this database: a random id that changes when the database is another one (restored elsewhere, cloned,
 * promoted on a new timeline), for then positions of its log mean something else; and at the first look after a start of
 * Postgres, as the heir of the one before.
 */
export const ensureEpochByStart = `
create or replace function sync.ensure_epoch() returns text language plpgsql as $$
declare
  head public.sync_heads;
  is_new boolean;
  system text := 'unknown';
  line integer := 1;
  database bigint := (select oid from pg_database where datname = current_database());
begin
  begin
    system := (select system_identifier::text from pg_control_system());
  exception when others then null; -- Not every host lets its users read the control file.
  end;
  begin
    line := ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer;
  exception when others then null; -- In recovery there is no current WAL position.
  end;
  insert into public.sync_heads (id, epoch, system_identifier, timeline, database_oid)
  values (1, gen_random_uuid()::text, system, line, database)
  on conflict (id) do nothing;
  is_new := found;
  select * into head from public.sync_heads where id = 1 for update;
  if (head.system_identifier, head.timeline, head.database_oid) is distinct from (system, line, database) then
    update public.sync_heads
    set epoch = gen_random_uuid()::text, system_identifier = system, timeline = line, database_oid = database, updated_at = now()
    where id = 1;
  elsif not is_new and (select started is distinct from pg_postmaster_start_time() from sync.settings) then
    perform sync.continue_epoch();
  end if;
  update sync.settings set started = pg_postmaster_start_time() where started is distinct from pg_postmaster_start_time();
  return (select epoch from public.sync_heads where id = 1);
end $$`

/** Until a server has ensured an epoch there are no cursors. */
const beginEpoch = `
create function sync.begin_epoch() returns trigger language plpgsql as $$
begin
  if (select started <> pg_postmaster_start_time() from sync.settings) then
    perform pg_advisory_xact_lock(7165746964);
    perform sync.ensure_epoch();
  end if;
  return null;
end $$`
