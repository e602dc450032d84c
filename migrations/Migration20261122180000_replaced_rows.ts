import { Migration } from '@mikro-orm/migrations'
import { closeCommit as formerCloseCommit } from './Migration20261122010300_capture.ts'

/**
 * A row that is deleted and put in again in one transaction has the first version, like a row that nobody has seen. The log now
 * says both, so that whoever has the old row and may not have the new one is told that it is gone. The same fold for changes
 * from the WAL is in `server/capture/wal/fold-keys.ts`.
 */
export class Migration20261122180000_replaced_rows extends Migration {
  override up(): void {
    this.addSql(closeCommit)
  }

  override down(): void {
    this.addSql(formerCloseCommit.replace('create function', 'create or replace function'))
  }
}

const closeCommit = `
create or replace function sync.close_commit() returns trigger language plpgsql as $$
declare
  known text[];
  commit_seq bigint;
  next_ordinal integer := 0;
  written integer;
begin
  perform pg_advisory_xact_lock(7165746964);
  delete from sync.open_commits where xid = new.xid;
  known := string_to_array(current_setting('sync.commit', true), ' ');
  if known[1] = new.xid::text then
    commit_seq := known[2]::bigint;
    next_ordinal := known[3]::integer;
  else
    commit_seq := nextval('sync.seq');
  end if;
  with gone as (
    delete from sync.pending_changes where xid = new.xid returning *
  ), folded as (
    select distinct on (table_name, row_id, op in ('mark', 'reset'), case op when 'mark' then mutation_id end)
      gone.*,
      first_value(coalesce(old_channel, channel)) over row_history as first_channel,
      first_value(born) over row_history as was_born,
      bool_or(op = 'delete') over row_history as was_deleted
    from gone
    window row_history as (
      partition by table_name, row_id, op in ('mark', 'reset'), case op when 'mark' then mutation_id end order by n
    )
    order by table_name, row_id, op in ('mark', 'reset'), case op when 'mark' then mutation_id end, n desc
  ), told as (
    select n, 1 as place, organization_id, channel, case when not was_born then nullif(first_channel, channel) end as old_channel,
      table_name, row_id, op, mutation_id, origin_device_id, actor_user_id, actor_agent_id
    from folded
    where not (was_born and op = 'delete')
    union all
    select n, 0, organization_id, first_channel, null, table_name, row_id, 'delete', mutation_id, origin_device_id, actor_user_id, actor_agent_id
    from folded
    where was_deleted and not was_born and op = 'upsert'
  )
  insert into public.sync_changes (
    seq, ordinal, xid, occurred_at, organization_id, channel, old_channel, table_name, row_id, op,
    mutation_id, origin_device_id, actor_user_id, actor_agent_id
  )
  select
    commit_seq, next_ordinal + row_number() over (order by n, place) - 1, new.xid, clock_timestamp(), organization_id, channel,
    old_channel, table_name, row_id, op, mutation_id, origin_device_id, actor_user_id, actor_agent_id
  from told;
  get diagnostics written = row_count;
  perform set_config('sync.commit', concat_ws(' ', new.xid, commit_seq, next_ordinal + written), true);
  if written > 0 and (select notify from sync.settings) then
    perform pg_notify('sync_changes', commit_seq::text);
  end if;
  return null;
end $$`
