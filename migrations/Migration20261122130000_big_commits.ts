import { Migration } from '@mikro-orm/migrations'
import { claimCapture, logSpilled } from './Migration20261122010600_wal_capture.ts'

/**
 * A commit that is too big for memory is logged by one entry, however big it is (docs/capture.md, "Big commits"):
 *
 *   keys of an open transaction → sync.spilled_changes, in batches, durable
 *   its commit                  → one entry of sync_changes, which names a row of sync.big_commits, which names the keys
 *
 * So nobody waits for it, and it is whole for everybody from the moment its entry is there. Until now its keys were copied into
 * `sync_changes` by one statement, and everybody waited for that: 27 s for 500,000 keys.
 */
export class Migration20261122130000_big_commits extends Migration {
  override up(): void {
    for (const statement of [
      'delete from sync.spilled_changes',
      'alter table sync.spilled_changes set logged',
      'drop index sync.spilled_changes_xid_idx',
      'create unique index spilled_changes_commit_idx on sync.spilled_changes (term, xid, n)',
      bigCommits,
      spillKeys,
      forgetSpills,
      forgetAfter,
      'drop function sync.log_spilled(text, bigint, bigint, bigint, double precision)',
      logBigCommit,
      claimCaptureWithKeys,
    ])
      this.addSql(statement)
  }

  override down(): void {
    for (const statement of [
      // Earlier versions could not read them: replicas load what was in them.
      `update sync_heads set epoch = gen_random_uuid()::text where exists (select from sync.big_commits)`,
      `delete from sync_changes where table_name = 'sync.big_commits'`,
      'drop function sync.log_big_commit(text, bigint, bigint, bigint, double precision)',
      logSpilled,
      claimCapture.replace('create function', 'create or replace function'),
      'drop function sync.forget_after(bigint)',
      'drop function sync.forget_spills(bigint)',
      `drop function sync.spill_keys(${spillTypes})`,
      'drop table sync.big_commits',
      'delete from sync.spilled_changes',
      'drop index sync.spilled_changes_commit_idx',
      'create index spilled_changes_xid_idx on sync.spilled_changes (xid, n)',
      'alter table sync.spilled_changes set unlogged',
    ])
      this.addSql(statement)
  }
}

/**
 * `parts`: how many keys of each table, channel, organization, operation and origin, so that a reader knows without reading them
 * whether they concern anybody; null: they are too many different ones to say.
 */
const bigCommits = `
create table sync.big_commits (
  seq bigint primary key,
  term bigint not null,
  xid bigint not null,
  keys bigint not null,
  parts jsonb,
  unique (term, xid)
)`

const spillTypes =
  'text, bigint, bigint, bigint[], bigint[], boolean[], uuid[], text[], text[], text[], uuid[], text[], uuid[], uuid[], uuid[], uuid[]'

/** Keeps keys of an open transaction. Durable with the commit that names them, so nobody waits for the disk here. */
const spillKeys = `
create function sync.spill_keys(
  slot text, my_term bigint, half bigint, subxids bigint[], places bigint[], births boolean[], organizations uuid[], channels text[], old_channels text[],
  tables text[], ids uuid[], ops text[], mutations uuid[], devices uuid[], users uuid[], agents uuid[]
) returns void language plpgsql as $$
begin
  perform sync.hold_capture(slot, my_term), set_config('synchronous_commit', 'off', true);
  insert into sync.spilled_changes (
    term, xid, subxid, n, born, organization_id, channel, old_channel, table_name, row_id, op,
    mutation_id, origin_device_id, actor_user_id, actor_agent_id
  )
  select my_term, half, * from unnest(
    subxids, places, births, organizations, channels, old_channels, tables, ids, ops, mutations, devices, users, agents);
end $$`

/** Deletes what writers of a term that is over have kept of transactions whose end they did not see: it will be sent again. */
const forgetSpills = `
create function sync.forget_spills(of_term bigint) returns void language sql as $$
  with recursive transactions(id) as (
    (select xid from sync.spilled_changes where term = of_term order by xid limit 1)
    union all
    select (select xid from sync.spilled_changes where term = of_term and xid > id order by xid limit 1) from transactions where id is not null
  )
  delete from sync.spilled_changes s using transactions t
  where s.term = of_term and s.xid = t.id and not exists (select from sync.big_commits b where b.term = of_term and b.xid = t.id)
$$`

/** Deletes the log after a position: it was brought here from elsewhere, or never happened. Answers how many entries. */
const forgetAfter = `
create function sync.forget_after(place bigint) returns bigint language plpgsql as $$
declare entries bigint;
begin
  delete from public.sync_changes where seq > place;
  get diagnostics entries = row_count;
  delete from sync.spilled_changes s using sync.big_commits b where b.seq > place and s.term = b.term and s.xid = b.xid;
  delete from sync.big_commits where seq > place;
  return entries;
end $$`

/** Logs one commit whose keys were spilled: counts them, and names them in one entry. */
const logBigCommit = `
create function sync.log_big_commit(slot text, my_term bigint, commit_seq bigint, half bigint, at double precision) returns void language plpgsql as $$
declare
  last bigint := sync.hold_capture(slot, my_term);
  next bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
  total bigint;
  found_parts jsonb;
begin
  if commit_seq > last then
    with part as (
      select organization_id, table_name, channel, old_channel, op, mutation_id, origin_device_id, count(*) as keys
      from sync.spilled_changes where term = my_term and xid = half
      group by organization_id, table_name, channel, old_channel, op, mutation_id, origin_device_id
    )
    select sum(keys), case when count(*) <= 1000 then jsonb_agg(to_jsonb(part)) end into total, found_parts from part;
    if total > 0 then
      insert into sync.big_commits (seq, term, xid, keys, parts) values (commit_seq, my_term, half, total, found_parts);
      insert into public.sync_changes (seq, ordinal, xid, occurred_at, channel, table_name, op)
      values (commit_seq, 0, sync.extend_xid(half, next), to_timestamp(at), 'big', 'sync.big_commits', 'mark');
    end if;
  else
    delete from sync.spilled_changes where term = my_term and xid = half;
  end if;
  update public.sync_capture set last_seq = greatest(last, commit_seq), heartbeat_at = clock_timestamp() where slot_name = slot;
  perform pg_notify('tidewire_log', concat_ws(' ', commit_seq, greatest(last, commit_seq)));
end $$`

/**
 * As before, but keys of big commits are part of the log, and belong to a term for good: a new slot, with which terms began anew,
 * goes on above those that have keys. Of the latest of these the keys of open transactions go.
 */
const claimCaptureWithKeys = `
create or replace function sync.claim_capture(slot text, new_holder text) returns bigint language plpgsql as $$
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
    perform sync.forget_after(start);
    known.last_seq := start;
  end if;
  known.term := greatest(known.term, (select max(term) from sync.spilled_changes));
  update public.sync_capture
  set system_identifier = head.system_identifier, timeline = head.timeline, last_seq = known.last_seq,
    term = known.term + 1, holder = new_holder, heartbeat_at = clock_timestamp()
  where slot_name = slot;
  perform sync.forget_spills(known.term);
  return known.term + 1;
end $$`
