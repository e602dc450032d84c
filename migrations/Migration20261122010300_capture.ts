import { Migration } from '@mikro-orm/migrations'

/**
 * Capture by trigger: the keys of what a transaction changed, in the order in which transactions commit.
 *
 *     statement triggers → sync.pending_changes ─┐ at commit, under one lock
 *     first of them      → sync.open_commits ────┴→ seq drawn, keys folded → sync_changes
 *
 * The lock is taken by a deferred trigger, so no transaction holds it while it works, and whoever draws the next `seq`
 * sees the previous commit. A transaction whose constraints are set immediate takes it earlier and keeps its `seq`.
 * Rows rolled back to a savepoint vanish with it. `xid` is always that of the top-level transaction.
 */
export class Migration20261122010300_capture extends Migration {
  override up(): void {
    this.addSql('create sequence sync.seq as bigint')
    this.addSql(settings)
    this.addSql('insert into sync.settings (notify) values (false)')
    this.addSql(pendingChanges)
    this.addSql('create index pending_changes_xid_idx on sync.pending_changes (xid)')
    this.addSql('create unlogged table sync.open_commits (xid xid8 primary key)')
    this.addSql(openCommit)
    this.addSql(closeCommit)
    this.addSql(`create constraint trigger close_commit after insert on sync.open_commits
      deferrable initially deferred for each row execute function sync.close_commit()`)
    this.addSql('alter table sync.open_commits enable always trigger close_commit')
    this.addSql(mark)
    this.addSql(markCanary)
    this.addSql(installCapture)
    this.addSql(removeCapture)
    this.addSql(ensureEpoch)
    for (const statement of tables) this.addSql(statement)
  }

  override down(): void {
    this.addSql(`
do $$
declare target text;
begin
  for target in
    select distinct c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where t.tgname = 'capture_truncate' and c.relnamespace = 'public'::regnamespace
  loop
    perform sync.remove_capture(target);
  end loop;
end $$`)
    this.addSql('drop function sync.install_capture(text, text, text)')
    this.addSql('drop function sync.remove_capture(text)')
    this.addSql('drop function sync.ensure_epoch()')
    this.addSql('drop function sync.mark(uuid, uuid, uuid)')
    this.addSql('drop function sync.mark_canary()')
    this.addSql('drop table sync.open_commits')
    this.addSql('drop function sync.close_commit()')
    this.addSql('drop function sync.open_commit()')
    this.addSql('drop table sync.pending_changes')
    this.addSql('drop table sync.settings')
    this.addSql('drop sequence sync.seq')
  }
}

/** One row. `notify`: the embedded database has one writer, where a NOTIFY at each commit costs nothing. */
const settings = `
create table sync.settings (
  only_row boolean primary key default true check (only_row),
  notify boolean not null
)`

/** `born`: the row did not exist before the statement. The writer's identity comes from the transaction's settings. */
const pendingChanges = `
create unlogged table sync.pending_changes (
  n bigint generated always as identity,
  xid xid8 not null default pg_current_xact_id(),
  organization_id uuid,
  channel text not null,
  old_channel text,
  table_name text not null,
  row_id uuid,
  op text not null,
  born boolean not null default false,
  mutation_id uuid default nullif(current_setting('app.mutation_id', true), '')::uuid,
  origin_device_id uuid default nullif(current_setting('app.device_id', true), '')::uuid,
  actor_user_id uuid default nullif(current_setting('app.user_id', true), '')::uuid,
  actor_agent_id uuid default nullif(current_setting('app.agent_id', true), '')::uuid
)`

const openCommit = `
create function sync.open_commit() returns void language sql as $$
  insert into sync.open_commits (xid) values (pg_current_xact_id()) on conflict do nothing
$$`

/**
 * Several changes of one row in one transaction become its last one, with the channel that followers knew before the
 * transaction as the old one. A row that was born and deleted within it was never there. The setting `sync.commit`
 * (xid, seq, next ordinal) makes a second flush of one transaction go on under the same `seq`.
 */
export const closeCommit = `
create function sync.close_commit() returns trigger language plpgsql as $$
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
      first_value(born) over row_history as was_born
    from gone
    window row_history as (
      partition by table_name, row_id, op in ('mark', 'reset'), case op when 'mark' then mutation_id end order by n
    )
    order by table_name, row_id, op in ('mark', 'reset'), case op when 'mark' then mutation_id end, n desc
  )
  insert into public.sync_changes (
    seq, ordinal, xid, occurred_at, organization_id, channel, old_channel, table_name, row_id, op,
    mutation_id, origin_device_id, actor_user_id, actor_agent_id
  )
  select
    commit_seq, next_ordinal + row_number() over (order by n) - 1, new.xid, clock_timestamp(), organization_id, channel,
    case when not was_born then nullif(first_channel, channel) end, table_name, row_id, op,
    mutation_id, origin_device_id, actor_user_id, actor_agent_id
  from folded
  where not (was_born and op = 'delete');
  get diagnostics written = row_count;
  perform set_config('sync.commit', concat_ws(' ', new.xid, commit_seq, next_ordinal + written), true);
  if written > 0 and (select notify from sync.settings) then
    perform pg_notify('sync_changes', commit_seq::text);
  end if;
  return null;
end $$`

/** Logs that a mutation was settled, for its device, whether or not it changed a row. */
const mark = `
create function sync.mark(mutation uuid, device uuid, organization uuid) returns void language plpgsql as $$
begin
  insert into sync.pending_changes (organization_id, channel, table_name, op, mutation_id, origin_device_id)
  values (organization, 'device/' || device, 'sync_mutations', 'mark', mutation, device);
  perform sync.open_commit();
end $$`

/** Logs that the path from commit to clients is alive. */
const markCanary = `
create function sync.mark_canary() returns void language plpgsql as $$
begin
  insert into sync.pending_changes (channel, table_name, op) values ('canary', 'sync_heads', 'mark');
  perform sync.open_commit();
end $$`

/**
 * Gives a table its capture triggers. `channel` and `watched` are SQL over a row written `{}`; an update is logged when
 * `watched` differs, which by default is the version: silent changes do not raise it.
 */
const installCapture = `
create function sync.install_capture(target text, channel text default '{}.channel', watched text default '{}.version')
returns void language plpgsql as $install$
declare
  organization text := case when exists (
    select from pg_attribute
    where attrelid = ('public.' || quote_ident(target))::regclass and attname = 'organization_id' and not attisdropped
  ) then '{}.organization_id' else 'null::uuid' end;
  template constant text := $f$
    create or replace function sync.capture_%1$s_%2$s() returns trigger language plpgsql as $body$
    begin
      %3$s;
      if found then perform sync.open_commit(); end if;
      return null;
    end $body$ $f$;
  of_new constant text := replace(channel, '{}', 'n');
  of_old constant text := replace(channel, '{}', 'o');
  event text;
begin
  execute format(template, target, 'insert', format(
    'insert into sync.pending_changes (organization_id, channel, table_name, row_id, op, born)
     select %s, %s, %L, n.id, ''upsert'', true from new_rows n',
    replace(organization, '{}', 'n'), of_new, target));
  execute format(template, target, 'update', format(
    'insert into sync.pending_changes (organization_id, channel, old_channel, table_name, row_id, op)
     select %s, %s, nullif(%s, %s), %L, n.id, ''upsert'' from new_rows n join old_rows o on o.id = n.id where %s is distinct from %s',
    replace(organization, '{}', 'n'), of_new, of_old, of_new, target, replace(watched, '{}', 'n'), replace(watched, '{}', 'o')));
  execute format(template, target, 'delete', format(
    'insert into sync.pending_changes (organization_id, channel, table_name, row_id, op)
     select %s, %s, %L, o.id, ''delete'' from old_rows o',
    replace(organization, '{}', 'o'), of_old, target));
  execute format(template, target, 'truncate', format(
    'insert into sync.pending_changes (channel, table_name, op) values (''global'', %L, ''reset'')', target));
  foreach event in array array['insert', 'update', 'delete', 'truncate'] loop
    execute format('create or replace trigger capture_%2$s after %2$s on public.%1$I %3$s for each statement execute function sync.capture_%1$s_%2$s()',
      target, event, case event
        when 'insert' then 'referencing new table as new_rows'
        when 'update' then 'referencing old table as old_rows new table as new_rows'
        when 'delete' then 'referencing old table as old_rows'
        else '' end);
    execute format('alter table public.%I enable always trigger capture_%s', target, event);
  end loop;
end $install$`

/** Where changes are captured from the WAL, the triggers must go: each commit would be logged twice. */
const removeCapture = `
create function sync.remove_capture(target text) returns void language plpgsql as $$
declare event text;
begin
  foreach event in array array['insert', 'update', 'delete', 'truncate'] loop
    execute format('drop trigger if exists capture_%s on public.%I', event, target);
    execute format('drop function if exists sync.capture_%s_%s()', target, event);
  end loop;
end $$`

/**
 * The epoch of this database: a random id that changes when the database is another one (restored elsewhere, cloned,
 * promoted on a new timeline), for then positions of its log mean something else.
 */
export const ensureEpoch = `
create function sync.ensure_epoch() returns text language plpgsql as $$
declare
  head public.sync_heads;
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
  select * into head from public.sync_heads where id = 1 for update;
  if (head.system_identifier, head.timeline, head.database_oid) is distinct from (system, line, database) then
    update public.sync_heads
    set epoch = gen_random_uuid()::text, system_identifier = system, timeline = line, database_oid = database, updated_at = now()
    where id = 1
    returning * into head;
  end if;
  return head.epoch;
end $$`

const tables = [
  `select sync.install_capture('access_tokens', $$'access/' || coalesce({}.user_id, {}.agent_id)$$, $$({}.scopes, {}.expires_at, {}.revoked_at)$$)`,
  `select sync.install_capture('agent_capabilities')`,
  `select sync.install_capture('agent_instances')`,
  `select sync.install_capture('agent_sessions')`,
  `select sync.install_capture('agent_types')`,
  `select sync.install_capture('agents')`,
  `select sync.install_capture('auth_sessions', $$'access/' || {}.user_id$$, $$({}.expires_at, {}.revoked_at)$$)`,
  `select sync.install_capture('context_vectors')`,
  `select sync.install_capture('conversation_participants')`,
  `select sync.install_capture('conversations')`,
  `select sync.install_capture('devices')`,
  `select sync.install_capture('macro_step_dependencies')`,
  `select sync.install_capture('macro_steps')`,
  `select sync.install_capture('memories')`,
  `select sync.install_capture('memory_tags')`,
  `select sync.install_capture('messages')`,
  `select sync.install_capture('organization_members')`,
  `select sync.install_capture('organizations')`,
  `select sync.install_capture('phases')`,
  `select sync.install_capture('plans')`,
  `select sync.install_capture('project_closures')`,
  `select sync.install_capture('project_members')`,
  `select sync.install_capture('project_states')`,
  `select sync.install_capture('projects')`,
  `select sync.install_capture('repositories')`,
  `select sync.install_capture('repository_analyses')`,
  `select sync.install_capture('repository_branches')`,
  `select sync.install_capture('sync_conflicts')`,
  `select sync.install_capture('task_dependencies')`,
  `select sync.install_capture('task_runs')`,
  `select sync.install_capture('tasks')`,
  `select sync.install_capture('team_memberships')`,
  `select sync.install_capture('teams')`,
  `select sync.install_capture('user_preferences')`,
  `select sync.install_capture('users')`,
  `select sync.install_capture('workflow_runs')`,
  `select sync.install_capture('workflows')`,
]
