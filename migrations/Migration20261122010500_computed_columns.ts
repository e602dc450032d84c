import { Migration } from '@mikro-orm/migrations'

/**
 * Columns of class `server` that follow from other rows or columns. They are computed here and not in the server, so
 * that a write by plain SQL leaves the same rows behind. BEFORE triggers named `a_*` run ahead of `b_touch`, which then
 * counts what they changed.
 */
export class Migration20261122010500_computed_columns extends Migration {
  override up(): void {
    for (const statement of [installStamp, installRevision, ...tables, ...functions, ...triggers])
      this.addSql(statement)
  }

  override down(): void {
    this.addSql(`
do $$
declare trigger record;
begin
  for trigger in
    select t.tgname, t.tgrelid::regclass as relation from pg_trigger t
    where not t.tgisinternal and (t.tgname like 'a\\_stamp\\_%' or t.tgname like 'a\\_revision\\_%' or t.tgname like '%\\_computed')
  loop
    execute format('drop trigger %I on %s', trigger.tgname, trigger.relation);
  end loop;
  for trigger in
    select p.oid::regprocedure as function from pg_proc p
    where p.pronamespace = 'sync'::regnamespace
      and (p.proname like 'stamp\\_%' or p.proname like 'revision\\_%' or p.proname like 'compute\\_%' or p.proname like 'refuse\\_%\\_cycle')
  loop
    execute format('drop function %s', trigger.function);
  end loop;
end $$`)
    this.addSql('drop function sync.install_stamp(text, text, text, boolean)')
    this.addSql('drop function sync.install_revision(text, text, text)')
  }
}

/** `condition` is SQL over a row written `{}`. A time that is given stays. */
const installStamp = `
create function sync.install_stamp(target text, stamp text, condition text, keep boolean) returns void language plpgsql as $install$
begin
  execute format($f$
    create or replace function sync.stamp_%1$s_%2$s() returns trigger language plpgsql as $body$
    begin
      new.%2$I := case when %3$s then coalesce(new.%2$I, now()) %4$s end;
      return new;
    end $body$ $f$, target, stamp, replace(condition, '{}', 'new'), case when keep then format('else new.%I', stamp) else '' end);
  execute format('create trigger a_stamp_%2$s before insert or update on public.%1$I for each row execute function sync.stamp_%1$s_%2$s()', target, stamp);
end $install$`

const installRevision = `
create function sync.install_revision(target text, revision text, counted text) returns void language plpgsql as $install$
begin
  execute format($f$
    create or replace function sync.revision_%1$s_%2$s() returns trigger language plpgsql as $body$
    begin
      new.%2$I := old.%2$I + (new.%3$I is distinct from old.%3$I)::integer;
      return new;
    end $body$ $f$, target, revision, counted);
  execute format('create trigger a_revision_%2$s before update on public.%1$I for each row execute function sync.revision_%1$s_%2$s()', target, revision);
end $install$`

const functions = [
  /** A message's place in its conversation, in the order of commits: the row of the conversation is locked until then. */
  `
create function sync.compute_message_place() returns trigger language plpgsql as $$
begin
  if new.position is null then
    perform from public.conversations where id = new.conversation_id for no key update;
    select coalesce(max(position), 0) + 1 into new.position from public.messages where conversation_id = new.conversation_id;
  end if;
  return new;
end $$`,
  `
create function sync.compute_message_totals() returns trigger language plpgsql as $$
declare
  tokens bigint := coalesce(new.input_tokens, 0) + coalesce(new.output_tokens, 0) - coalesce(old.input_tokens, 0) - coalesce(old.output_tokens, 0);
  cost numeric := coalesce(new.cost_usd, 0) - coalesce(old.cost_usd, 0);
  messages integer := (new.deleted_at is null)::integer - (tg_op = 'UPDATE' and old.deleted_at is null)::integer;
begin
  if tokens <> 0 or cost <> 0 or messages <> 0 then
    update public.conversations set
      message_count = message_count + messages,
      last_message_at = case when messages > 0 then greatest(last_message_at, new.sent_at) else last_message_at end,
      total_tokens = total_tokens + tokens,
      total_cost = total_cost + cost
    where id = new.conversation_id;
  end if;
  return null;
end $$`,
  /** The names of an agent's capabilities that are enabled, for one composite index. */
  `
create function sync.compute_capability_names() returns trigger language plpgsql as $$
declare
  agent uuid := coalesce(new.agent_id, old.agent_id);
  names text[] := array(
    select distinct name from public.agent_capabilities where agent_id = agent and is_enabled and deleted_at is null order by name
  );
begin
  update public.agents set capability_names = names where id = agent and capability_names is distinct from names;
  return null;
end $$`,
  /** Members carry the public part of the profile, so that users rows stay private. */
  `
create function sync.compute_member_profile() returns trigger language plpgsql as $$
begin
  select coalesce(new.display_name, name), coalesce(new.email, email), coalesce(new.avatar_url, avatar_url)
  into new.display_name, new.email, new.avatar_url
  from public.users where id = new.user_id;
  return new;
end $$`,
  `
create function sync.compute_member_profiles() returns trigger language plpgsql as $$
begin
  update public.organization_members set display_name = new.name, email = new.email, avatar_url = new.avatar_url where user_id = new.id;
  return null;
end $$`,
  /** What follows from the columns of a memory itself. An embedding of older content serves until the new one is there. */
  `
create function sync.compute_memory() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    new.embedding_status := case when new.embedding is null then new.embedding_status else 'ready' end;
  elsif new.embedding is distinct from old.embedding and new.embedding is not null then
    new.embedding_status := 'ready';
  elsif (new.title, new.content) is distinct from (old.title, old.content) and new.embedding_status = old.embedding_status and old.embedding_status <> 'skipped' then
    new.embedding_status := 'pending';
  end if;
  if new.embedding_status = 'ready' and (tg_op = 'INSERT' or new.embedding is distinct from old.embedding) then
    new.embedded_at := now();
  end if;
  if tg_op = 'UPDATE' and new.access_count > old.access_count then
    new.last_accessed_at := now();
  end if;
  if tg_op = 'UPDATE' and new.reinforcement_count > old.reinforcement_count then
    new.last_reinforced_at := now();
  end if;
  return new;
end $$`,
  `
create function sync.compute_superseded() returns trigger language plpgsql as $$
begin
  if new.supersedes_id is not null then
    update public.memories set superseded_by_id = new.id, status = 'superseded'
    where id = new.supersedes_id and (superseded_by_id, status) is distinct from (new.id, 'superseded');
  end if;
  return null;
end $$`,
  /**
   * The history of a memory outlives it. Embeddings and search vectors are left out of it. When the organization itself
   * goes, so do its logs, and nothing is written.
   */
  `
create function sync.compute_memory_log() returns trigger language plpgsql as $$
declare
  ignored constant text[] := array['embedding', 'search_vector', 'content_hash', 'version', 'updated_at', 'access_count', 'last_accessed_at'];
  was jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) - ignored end;
  became jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) - ignored end;
  changed text[] := '{}';
  did text;
  actor_user uuid := nullif(current_setting('app.user_id', true), '')::uuid;
  actor_agent uuid := nullif(current_setting('app.agent_id', true), '')::uuid;
begin
  if tg_op = 'UPDATE' then
    changed := array(select key from jsonb_each(became) where value is distinct from was -> key order by key);
    if changed = '{}' then return null; end if;
    was := (select jsonb_object_agg(key, was -> key) from unnest(changed) as key);
    became := (select jsonb_object_agg(key, became -> key) from unnest(changed) as key);
  end if;
  did := case
    when tg_op = 'INSERT' then 'created'
    when tg_op = 'DELETE' then 'purged'
    when old.deleted_at is null and new.deleted_at is not null then 'deleted'
    when old.deleted_at is not null and new.deleted_at is null then 'restored'
    when new.status <> old.status and new.status in ('superseded', 'archived', 'expired') then new.status
    when new.reinforcement_count > old.reinforcement_count then 'reinforced'
    when new.tier <> old.tier and array_position(array['core','hot','warm','cold'], new.tier) < array_position(array['core','hot','warm','cold'], old.tier) then 'promoted'
    when new.tier <> old.tier then 'demoted'
    else 'updated'
  end;
  insert into public.memory_logs (
    organization_id, memory_id, action, actor_user_id, actor_agent_id, scope, memory_version, changed_columns, before, after,
    conversation_id, mutation_id, origin_device_id
  )
  select o.id, coalesce(new.id, old.id), did, actor_user, actor_agent, coalesce(new.scope, old.scope), coalesce(new.version, old.version),
    changed, was, became, coalesce(new.conversation_id, old.conversation_id),
    nullif(current_setting('app.mutation_id', true), '')::uuid, nullif(current_setting('app.device_id', true), '')::uuid
  from public.organizations o where o.id = coalesce(new.organization_id, old.organization_id);
  return null;
end $$`,
  /** Graphs that must stay free of cycles; one writer at a time per project, or two could close a cycle together. */
  ...['task', 'macro_step'].map((node) =>
    cycleCheck(`${node}_dependencies`, `${node}_id`, node === 'task' ? 'depends_on_task_id' : 'depends_on_id'),
  ),
  cycleCheck('tasks', 'id', 'parent_task_id'),
]

function cycleCheck(table: string, from: string, to: string): string {
  return `
create function sync.refuse_${table}_cycle() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended(new.project_id::text, 7165746964));
  if exists (
    with recursive reached(id) as (
      select new.${to}
      union
      select edge.${to} from public.${table} edge join reached on edge.${from} = reached.id
      where edge.${to} is not null and edge.deleted_at is null
    )
    select from reached where id = new.${from}
  ) then
    raise exception 'Row % of ${table} would close a cycle.', new.id
      using errcode = 'check_violation', table = '${table}', column = '${to}', constraint = '${table}_cycle';
  end if;
  return new;
end $$`
}

const triggers = [
  'create trigger a_computed before insert on messages for each row execute function sync.compute_message_place()',
  'create trigger c_computed after insert or update on messages for each row execute function sync.compute_message_totals()',
  'create trigger c_computed after insert or update or delete on agent_capabilities for each row execute function sync.compute_capability_names()',
  'create trigger a_computed before insert on organization_members for each row execute function sync.compute_member_profile()',
  `create trigger c_computed after update on users for each row
    when ((old.name, old.email, old.avatar_url) is distinct from (new.name, new.email, new.avatar_url))
    execute function sync.compute_member_profiles()`,
  'create trigger a_computed before insert or update on memories for each row execute function sync.compute_memory()',
  'create trigger c_superseded_computed after insert or update of supersedes_id on memories for each row execute function sync.compute_superseded()',
  'create trigger d_log_computed after insert or update or delete on memories for each row execute function sync.compute_memory_log()',
  `create trigger a_computed before insert or update on task_dependencies for each row
    when (new.deleted_at is null) execute function sync.refuse_task_dependencies_cycle()`,
  `create trigger a_computed before insert or update on macro_step_dependencies for each row
    when (new.deleted_at is null) execute function sync.refuse_macro_step_dependencies_cycle()`,
  `create trigger a_computed before insert or update of parent_task_id on tasks for each row
    when (new.parent_task_id is not null) execute function sync.refuse_tasks_cycle()`,
]

const tables = [
  `select sync.install_stamp('agents', 'deactivated_at', $$ {}.lifecycle = 'retired'$$, false)`,
  `select sync.install_revision('agents', 'dna_revision', 'dna')`,
  `select sync.install_stamp('conversations', 'ended_at', $$ {}.status in ('completed', 'archived')$$, false)`,
  `select sync.install_stamp('organization_members', 'joined_at', $$ {}.status = 'active'$$, true)`,
  `select sync.install_stamp('organizations', 'closed_at', $$ {}.status = 'closed'$$, false)`,
  `select sync.install_stamp('plans', 'completed_at', $$ {}.status = 'completed'$$, false)`,
  `select sync.install_stamp('projects', 'completed_at', $$ {}.status = 'completed'$$, false)`,
  `select sync.install_stamp('projects', 'cancelled_at', $$ {}.status = 'cancelled'$$, false)`,
  `select sync.install_stamp('projects', 'archived_at', $$ {}.status = 'archived'$$, false)`,
  `select sync.install_stamp('tasks', 'started_at', $$ {}.status = 'in_progress'$$, true)`,
  `select sync.install_stamp('tasks', 'completed_at', $$ {}.status = 'completed'$$, false)`,
  `select sync.install_revision('workflows', 'definition_revision', 'definition')`,
]
