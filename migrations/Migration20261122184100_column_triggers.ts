import { Migration } from '@mikro-orm/migrations'

/**
 * Triggers that look at some columns only fire for updates that set one of these. Each other one was a call, or a condition to be
 * parsed, with every update. A vector is no longer turned into text for the log of memories, which leaves it out.
 */
export class Migration20261122184100_column_triggers extends Migration {
  override up(): void {
    this.addSql(updateOf)
    for (const statement of [installChannel, installStamp, installRevision].map(narrow)) this.addSql(statement)
    this.addSql(limitTrigger)
    this.addSql(limitInstalled('sync.update_of(c.relname, p.prosrc)'))
    for (const [table, trigger, columns] of written) this.addSql(limit(table, trigger, ` of ${columns}`))
    this.addSql(dropLimitTrigger)
    for (const [before, after] of memoryLog) this.addSql(inMemoryLog(before, after))
  }

  override down(): void {
    for (const [before, after] of [...memoryLog].reverse()) this.addSql(inMemoryLog(after, before))
    this.addSql(limitTrigger)
    for (const [table, trigger] of written) this.addSql(limit(table, trigger, ''))
    this.addSql(limitInstalled(`''`))
    this.addSql(dropLimitTrigger)
    for (const statement of [installChannel, installStamp, installRevision].map(widen)) this.addSql(statement)
    this.addSql('drop function sync.update_of(text, text)')
  }
}

/** Of the columns of a table, those that an expression or a body of a trigger names as `new.x`, as a trigger takes them; all when it takes the row whole. */
const updateOf = `
create function sync.update_of(target text, body text) returns text language sql stable as $$
  select case when replace(body, 'return new;', '') ~ '\\mnew\\M(?!\\.)' then '' else coalesce((
    select ' of ' || string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
    where attrelid = ('public.' || quote_ident(target))::regclass and attnum > 0 and not attisdropped
      and body ~ ('\\mnew\\."?' || attname || '\\M')
  ), '') end
$$`

/** `{of}` is where the columns go, `{columns}` the expression for them. */
const installChannel = `
create or replace function sync.install_channel(target text, expression text) returns void language plpgsql as $install$
begin
  execute format($f$
    create or replace function sync.channel_%1$s() returns trigger language plpgsql as $body$
    begin
      new.channel := %2$s;
      return new;
    end $body$ $f$, target, expression);
  execute format('create or replace trigger a_channel before insert or update{of 2} on public.%1$I for each row execute function sync.channel_%1$s()', target{columns 'new.channel ' || expression});
  execute format('alter table public.%I enable always trigger a_channel', target);
end $install$`

const installStamp = `
create or replace function sync.install_stamp(target text, stamp text, condition text, keep boolean) returns void language plpgsql as $install$
begin
  execute format($f$
    create or replace function sync.stamp_%1$s_%2$s() returns trigger language plpgsql as $body$
    begin
      new.%2$I := case when %3$s then coalesce(new.%2$I, now()) %4$s end;
      return new;
    end $body$ $f$, target, stamp, replace(condition, '{}', 'new'), case when keep then format('else new.%I', stamp) else '' end);
  execute format('create trigger a_stamp_%2$s before insert or update{of 3} on public.%1$I for each row execute function sync.stamp_%1$s_%2$s()', target, stamp{columns format('new.%I ', stamp) || replace(condition, '{}', 'new')});
end $install$`

const installRevision = `
create or replace function sync.install_revision(target text, revision text, counted text) returns void language plpgsql as $install$
begin
  execute format($f$
    create or replace function sync.revision_%1$s_%2$s() returns trigger language plpgsql as $body$
    begin
      new.%2$I := old.%2$I + (new.%3$I is distinct from old.%3$I)::integer;
      return new;
    end $body$ $f$, target, revision, counted);
  execute format('create trigger a_revision_%2$s before update{of 3} on public.%1$I for each row execute function sync.revision_%1$s_%2$s()', target, revision{columns format('new.%I new.%I', revision, counted)});
end $install$`

const narrow = (statement: string): string =>
  statement
    .replace(/\{of (\d)\}/, '%$1$$s')
    .replace(/\{columns (.*)\}\);/, (_, expression: string) => `, sync.update_of(target, ${expression}));`)

const widen = (statement: string): string => statement.replace(/\{of \d\}/, '').replace(/\{columns .*\}\);/, ');')

/** Makes a trigger again with other columns. It stays enabled, or not, as it was. */
const limitTrigger = `
create function sync.limit_trigger(found pg_trigger, columns text) returns void language plpgsql as $$
begin
  execute regexp_replace(
    replace(pg_get_triggerdef(found.oid), 'CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER'), ' UPDATE( OF .*?)? ON ', ' UPDATE' || columns || ' ON '
  );
  if found.tgenabled <> 'O' then
    execute format('alter table %s %s trigger %I', found.tgrelid::regclass,
      case found.tgenabled when 'A' then 'enable always' when 'R' then 'enable replica' else 'disable' end, found.tgname);
  end if;
end $$`
const dropLimitTrigger = 'drop function sync.limit_trigger(pg_trigger, text)'

const limit = (table: string, trigger: string, columns: string): string =>
  `select sync.limit_trigger(t, '${columns}') from pg_trigger t where t.tgrelid = 'public.${table}'::regclass and t.tgname = '${trigger}'`

/** Those that `install_*` has made, of applications too. */
const limitInstalled = (columns: string): string => `
select sync.limit_trigger(t, ${columns})
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid
where c.relnamespace = 'public'::regnamespace and p.pronamespace = 'sync'::regnamespace and not t.tgisinternal and t.tgparentid = 0
  and t.tgname ~ '^a_(channel$|stamp_|revision_)' and p.proname ~ '^(channel|stamp|revision)_'`

/** Before a row is stored it may change what others look at: who comes later names the columns of who comes before too. */
const written = [
  ['agents', 'a_dna_computed', 'dna, mobile_capable, device_affinity, location_enabled, battery_aware'],
  ['agents', 'c_skills_computed_update', 'dna'],
  ['conversation_participants', 'log_grant_update', 'deleted_at'],
  ['documents', 'a_computed', 'content'],
  ['documents', 'A_version_updated', 'content, revision'],
  ['knowledge_entries', 'a_computed', 'title, content, embedding'],
  ['knowledge_entries', 'a_frozen', 'content, is_current'],
  ['knowledge_entries', 'a_used', 'use_count'],
  ['knowledge_entries', 'c_frozen_follow', 'scope, project_id, team_id, user_id, agent_id, deleted_at'],
  ['knowledge_grants', 'log_grant_update', 'deleted_at'],
  ['macro_steps', 'c_mobile_computed', 'phase_id, mobile_visible'],
  ['macro_steps', 'c_mobile_conflicts', 'phase_id, mobile_visible'],
  ['memories', 'a_accessed', 'access_count'],
  ['memories', 'a_computed', 'title, content, embedding'],
  ['memories', 'a_reinforced', 'reinforcement_count'],
  ['messages', 'c_computed', 'input_tokens, output_tokens, cost_usd, deleted_at'],
  ['phases', 'c_mobile_computed', 'plan_id, mobile_visible'],
  ['phases', 'c_mobile_conflicts', 'plan_id, mobile_visible'],
  ['plans', 'c_mobile_computed', 'mobile_sync_enabled'],
  ['plans', 'c_mobile_conflicts', 'mobile_sync_enabled'],
  ['project_members', 'log_grant_update', 'deleted_at'],
  ['projects', 'd_closed_update', 'status'],
  ['tasks', 'a_assignment_computed', 'status, assigned_agent_id'],
  ['tasks', 'a_given_back_computed', 'status'],
  ['tasks', 'a_lease_computed', 'status'],
  ['tasks', 'a_reopened_computed', 'status'],
  ['tasks', 'a_spare_attempt_update', 'status, attempt_count, max_attempts'],
  ['tasks', 'c_mobile_computed', 'plan_id, macro_step_id, parent_task_id, mobile_visible'],
  ['tasks', 'c_mobile_conflicts', 'plan_id, macro_step_id, parent_task_id, mobile_visible'],
  ['tasks', 'c_runs_computed', 'status'],
] as const

/** What is silent raises no version, and is not logged either. */
const memoryLog = [
  [
    `was jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) - ignored end;
  became jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) - ignored end;`,
    `was jsonb;
  became jsonb;`,
  ],
  [
    `begin
  if tg_op = 'UPDATE' then
    changed`,
    `begin
  if tg_op = 'UPDATE' and new.version = old.version then return null; end if;
  if tg_op <> 'INSERT' then
    old.embedding := null;
    was := to_jsonb(old) - ignored;
  end if;
  if tg_op <> 'DELETE' then
    new.embedding := null;
    became := to_jsonb(new) - ignored;
  end if;
  if tg_op = 'UPDATE' then
    changed`,
  ],
] as const

const inMemoryLog = (before: string, after: string): string => `
do $do$ begin
  execute replace(pg_get_functiondef('sync.compute_memory_log()'::regprocedure), $t$${before}$t$, $t$${after}$t$);
end $do$`
