import { Migration } from '@mikro-orm/migrations'

/**
 * What capture from the write-ahead log needs in SQL (docs/capture.md). Nothing of it is on until a server starts with
 * CAPTURE=wal. Then published tables send their keys by logical replication, and whatever still writes to
 * `sync.pending_changes` (marks, canaries, grants, tables without a channel column, tables not published yet) is turned
 * into logical messages of the same transaction by one trigger: nobody who logs has to know how changes are captured.
 */
export class Migration20261122010600_wal_capture extends Migration {
  override up(): void {
    this.addSql(
      `alter table sync.settings add column capture text not null default 'trigger' check (capture in ('trigger', 'wal'))`,
    )
    for (const statement of [
      tellKey,
      `create trigger tell_key before insert on sync.pending_changes for each row execute function sync.tell_key()`,
      `alter table sync.pending_changes disable trigger tell_key`,
      skipRow,
      `create trigger skip_row before insert on sync.open_commits for each row execute function sync.skip_row()`,
      `alter table sync.open_commits disable trigger skip_row`,
      tellOrigin,
      capturedTables,
      publishTable,
      captureByWal,
      listenAgain,
      captureByTrigger,
      spilledChanges,
      'create index spilled_changes_xid_idx on sync.spilled_changes (xid, n)',
      extendXid,
      claimCapture,
      holdCapture,
      logCommits,
      logSpilled,
    ])
      this.addSql(statement)
  }

  override down(): void {
    this.addSql('select sync.capture_by_trigger()')
    for (const name of [
      'log_spilled(text, bigint, bigint, bigint, double precision)',
      'log_commits(text, bigint, bigint, bigint[], integer[], bigint[], double precision[], uuid[], text[], text[], text[], uuid[], text[], uuid[], uuid[], uuid[], uuid[])',
      'hold_capture(text, bigint)',
      'claim_capture(text, text)',
      'extend_xid(bigint, bigint)',
    ])
      this.addSql(`drop function sync.${name}`)
    this.addSql('drop table sync.spilled_changes')
    for (const name of [
      'capture_by_trigger()',
      'listen_again(text)',
      'capture_by_wal(text, text)',
      'publish_table(text, text)',
      'captured_tables(text)',
    ])
      this.addSql(`drop function sync.${name}`)
    this.addSql('drop function sync.tell_origin() cascade')
    this.addSql('drop trigger skip_row on sync.open_commits')
    this.addSql('drop function sync.skip_row()')
    this.addSql('drop trigger tell_key on sync.pending_changes')
    this.addSql('drop function sync.tell_key()')
    this.addSql('alter table sync.settings drop column capture')
  }
}

/** A key for the log travels as a message inside its transaction: rolled back with it, and in order with its rows. */
const tellKey = `
create function sync.tell_key() returns trigger language plpgsql as $$
begin
  perform pg_logical_emit_message(true, 'tidewire.key', (to_jsonb(new) - 'n' - 'xid')::text);
  return null;
end $$`

/** Nothing is to be closed at commit. */
const skipRow = `
create function sync.skip_row() returns trigger language plpgsql as $$ begin return null; end $$`

/** Says once per transaction and writer who writes: rows in the WAL do not carry the settings. */
const tellOrigin = `
create function sync.tell_origin() returns trigger language plpgsql as $$
declare
  mutation text := nullif(current_setting('app.mutation_id', true), '');
  device text := nullif(current_setting('app.device_id', true), '');
  writer text := nullif(current_setting('app.user_id', true), '');
  agent text := nullif(current_setting('app.agent_id', true), '');
  origin text;
begin
  if num_nonnulls(mutation, device, writer, agent) > 0 then
    origin := json_build_object('mutation_id', mutation, 'origin_device_id', device, 'actor_user_id', writer, 'actor_agent_id', agent);
  else
    origin := '';
  end if;
  if origin is distinct from coalesce(current_setting('sync.told', true), '') then
    perform set_config('sync.told', origin, true);
    perform pg_logical_emit_message(true, 'tidewire.origin', coalesce(nullif(origin, ''), '{}'));
  end if;
  return null;
end $$`

/**
 * The tables whose capture is on, and what they lack for `publication`. `identity`: a plain unique index on exactly
 * (id, channel), without which the WAL would not say which channel a row left. `listens`: the triggers still write keys.
 */
const capturedTables = `
create function sync.captured_tables(publication text)
returns table (name text, identity text, identified boolean, published boolean, listens boolean) language sql stable as $$
  select c.relname::text,
    (select i.relname::text from pg_index x join pg_class i on i.oid = x.indexrelid
     where x.indrelid = c.oid and x.indisunique and x.indisvalid and x.indimmediate and x.indpred is null and x.indnkeyatts = 2
       and (select array_agg(a.attname::text order by a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum = any(x.indkey) and a.attnotnull) = '{channel,id}'
     order by i.relname limit 1),
    exists (
      select from pg_index x where x.indrelid = c.oid and x.indisreplident and x.indnkeyatts = 2
        and (select array_agg(a.attname::text order by a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum = any(x.indkey)) = '{channel,id}'
    ),
    exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid where r.prrelid = c.oid and p.pubname = publication),
    t.tgenabled <> 'D'
  from pg_trigger t join pg_class c on c.oid = t.tgrelid
  where t.tgname = 'capture_truncate' and c.relnamespace = 'public'::regnamespace
    and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'channel' and not a.attisdropped)
  order by c.relname
$$`

/**
 * Publishes one captured table: its keys, with the organization (readers leave out what is not theirs) and the version (an
 * update that does not raise it is silent). One lock on one table, so that nobody's transaction can deadlock with it.
 */
const publishTable = `
create function sync.publish_table(publication text, target text) returns void language plpgsql as $$
declare
  wanted record;
  columns text;
begin
  select * into strict wanted from sync.captured_tables(publication) c where c.name = target;
  if not wanted.identified then
    execute format('alter table public.%I replica identity using index %I', target, wanted.identity);
  end if;
  if not wanted.published then
    select string_agg(quote_ident(attname), ', ' order by attnum) into columns from pg_attribute
    where attrelid = ('public.' || quote_ident(target))::regclass and not attisdropped
      and attname in ('id', 'channel', 'organization_id', 'version') and attgenerated = '';
    execute format('alter publication %I add table public.%I (%s)', publication, target, columns);
  end if;
end $$`

/**
 * Without a table: from now on, what is written to `sync.pending_changes` becomes a message. Waits for transactions that have
 * logged the other way. With a table: its triggers rest; called after the former, since until then they are the log.
 */
const captureByWal = `
create function sync.capture_by_wal(publication text, target text) returns void language plpgsql as $$
declare event text;
begin
  if target is null then
    alter table sync.pending_changes enable always trigger tell_key;
    alter table sync.open_commits enable always trigger skip_row;
    update sync.settings set capture = 'wal' where capture <> 'wal';
    return;
  end if;
  execute format('create or replace trigger tell_origin before insert or update or delete on public.%I for each statement execute function sync.tell_origin()', target);
  execute format('alter table public.%I enable always trigger tell_origin', target);
  foreach event in array array['insert', 'update', 'delete', 'truncate'] loop
    execute format('alter table public.%I disable trigger capture_%s', target, event);
  end loop;
end $$`

/** One table's triggers write keys again. One lock on one table; beside the WAL the keys become messages until all tables are done. */
const listenAgain = `
create function sync.listen_again(target text) returns void language plpgsql as $$
declare event text;
begin
  execute format('alter table public.%I disable trigger tell_origin', target);
  foreach event in array array['insert', 'update', 'delete', 'truncate'] loop
    execute format('alter table public.%I enable always trigger capture_%s', target, event);
  end loop;
end $$`

/**
 * Back to triggers, after `listen_again` for each table: all tables at once would deadlock with writers. What was committed since
 * the log was last written is not in it, so replicas must start over: the epoch changes. Positions go on above those of the
 * WAL. Refused while a server reads the slot.
 */
const captureByTrigger = `
create function sync.capture_by_trigger() returns void language plpgsql as $$
declare
  target text;
  slot text;
begin
  if (select capture from sync.settings) <> 'wal' then return; end if;
  for slot in select slot_name from public.sync_capture c where exists (select from pg_replication_slots s where s.slot_name = c.slot_name) loop
    perform pg_drop_replication_slot(slot);
  end loop;
  for target in select name from sync.captured_tables('') where not listens loop
    perform sync.listen_again(target);
  end loop;
  for target in select p.pubname from pg_publication p where p.pubname like 'tidewire\\_%' loop
    execute format('drop publication %I', target);
  end loop;
  alter table sync.pending_changes disable trigger tell_key;
  alter table sync.open_commits disable trigger skip_row;
  perform setval('sync.seq', greatest((select coalesce(max(seq), 0) from public.sync_changes), pg_current_wal_insert_lsn() - '0/0', 1)::bigint);
  delete from public.sync_capture;
  update public.sync_heads set epoch = gen_random_uuid()::text, updated_at = now();
  update sync.settings set capture = 'trigger';
end $$`

/** Keys of transactions too big to be held in memory until their commit is known. Lost in a crash, and then sent again. */
const spilledChanges = `
create unlogged table sync.spilled_changes (
  term bigint not null,
  xid bigint not null,
  subxid bigint not null,
  n bigint not null,
  organization_id uuid,
  channel text not null,
  old_channel text,
  table_name text not null,
  row_id uuid,
  op text not null,
  born boolean not null,
  mutation_id uuid,
  origin_device_id uuid,
  actor_user_id uuid,
  actor_agent_id uuid
)`

/** The WAL has the lower half of transaction ids: the nearest full one. A commit may be logged before it counts as completed, hence both sides. */
const extendXid = `
create function sync.extend_xid(half bigint, next bigint) returns xid8 language sql immutable as $$
  select (next - (((next - half + 2147483648) & 4294967295) - 2147483648))::text::xid8
$$`

/**
 * Makes `new_holder` the writer of the log and answers its term; writers of earlier terms are refused from then on. Another
 * system or timeline than before: what the log holds beyond the slot's position never happened here.
 */
export const claimCapture = `
create function sync.claim_capture(slot text, new_holder text) returns bigint language plpgsql as $$
declare
  head public.sync_heads;
  known public.sync_capture;
  start bigint;
begin
  select * into strict head from public.sync_heads where id = 1;
  select (confirmed_flush_lsn - '0/0')::bigint into strict start from pg_replication_slots where slot_name = slot;
  insert into public.sync_capture (slot_name, system_identifier, timeline, last_seq)
  values (slot, head.system_identifier, head.timeline, start) on conflict (slot_name) do nothing;
  select * into known from public.sync_capture where slot_name = slot for update;
  if (known.system_identifier, known.timeline) is distinct from (head.system_identifier, head.timeline) then
    delete from public.sync_changes where seq > start;
    known.last_seq := start;
  end if;
  update public.sync_capture
  set system_identifier = head.system_identifier, timeline = head.timeline, last_seq = known.last_seq,
    term = known.term + 1, holder = new_holder, heartbeat_at = clock_timestamp()
  where slot_name = slot;
  delete from sync.spilled_changes;
  return known.term + 1;
end $$`

/** Locks the row of the slot for a writer of this term and answers the last position logged; refuses any other writer. */
const holdCapture = `
create function sync.hold_capture(slot text, my_term bigint) returns bigint language plpgsql as $$
declare known public.sync_capture;
begin
  select * into known from public.sync_capture where slot_name = slot for update;
  if known.term is distinct from my_term then
    raise exception 'The change log has another writer: term % of % is over.', my_term, slot using errcode = 'TW001';
  end if;
  return known.last_seq;
end $$`

/** Logs whole commits up to `upto`, those already logged left out; one key per place of the arrays. Tells followers on other servers. */
const logCommits = `
create function sync.log_commits(
  slot text, my_term bigint, upto bigint, seqs bigint[], ordinals integer[], xids bigint[], times double precision[], organizations uuid[],
  channels text[], old_channels text[], tables text[], ids uuid[], ops text[], mutations uuid[], devices uuid[], users uuid[], agents uuid[]
) returns void language plpgsql as $$
declare
  last bigint := sync.hold_capture(slot, my_term);
  next bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
begin
  insert into public.sync_changes (
    seq, ordinal, xid, occurred_at, organization_id, channel, old_channel, table_name, row_id, op,
    mutation_id, origin_device_id, actor_user_id, actor_agent_id
  )
  select k.seq, k.ordinal, sync.extend_xid(k.xid, next), to_timestamp(k.at), k.organization, k.channel, k.old_channel, k.name, k.id, k.op,
    k.mutation, k.device, k.writer, k.agent
  from unnest(seqs, ordinals, xids, times, organizations, channels, old_channels, tables, ids, ops, mutations, devices, users, agents)
    as k(seq, ordinal, xid, at, organization, channel, old_channel, name, id, op, mutation, device, writer, agent)
  where k.seq > last
  on conflict do nothing;
  update public.sync_capture set last_seq = greatest(last, upto), heartbeat_at = clock_timestamp() where slot_name = slot;
  perform pg_notify('tidewire_log', concat_ws(' ', coalesce(seqs[array_upper(seqs, 1)], 0), greatest(last, upto)));
end $$`

/** Logs one commit whose keys were spilled, folded as those in memory are. */
export const logSpilled = `
create function sync.log_spilled(slot text, my_term bigint, commit_seq bigint, half bigint, at double precision) returns void language plpgsql as $$
declare
  last bigint := sync.hold_capture(slot, my_term);
  next bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
begin
  if commit_seq > last then
    with folded as (
      select distinct on (table_name, row_id, op in ('mark', 'reset'), case op when 'mark' then mutation_id end)
        s.*,
        first_value(coalesce(old_channel, channel)) over row_history as first_channel,
        first_value(born) over row_history as was_born,
        max(organization_id::text) over row_history as known_organization
      from sync.spilled_changes s where term = my_term and xid = half
      window row_history as (
        partition by table_name, row_id, op in ('mark', 'reset'), case op when 'mark' then mutation_id end order by n
      )
      order by table_name, row_id, op in ('mark', 'reset'), case op when 'mark' then mutation_id end, n desc
    )
    insert into public.sync_changes (
      seq, ordinal, xid, occurred_at, organization_id, channel, old_channel, table_name, row_id, op,
      mutation_id, origin_device_id, actor_user_id, actor_agent_id
    )
    select commit_seq, row_number() over (order by n) - 1, sync.extend_xid(half, next), to_timestamp(at),
      coalesce(organization_id, known_organization::uuid), channel, case when not was_born then nullif(first_channel, channel) end, table_name, row_id, op,
      mutation_id, origin_device_id, actor_user_id, actor_agent_id
    from folded
    where not (was_born and op = 'delete')
    on conflict do nothing;
  end if;
  delete from sync.spilled_changes where term = my_term and xid = half;
  update public.sync_capture set last_seq = greatest(last, commit_seq), heartbeat_at = clock_timestamp() where slot_name = slot;
  perform pg_notify('tidewire_log', concat_ws(' ', commit_seq, greatest(last, commit_seq)));
end $$`
