import { Migration } from '@mikro-orm/migrations'

/**
 * What every synced row is given before it is stored: its channel, its version, its times. Both kinds of trigger are
 * ENABLE ALWAYS, so that a restore or a logical subscriber (session_replication_role = replica) cannot leave rows
 * without them. Each table has functions of its own, made by `install_*`: static SQL over a known row type costs a few
 * microseconds, a generic function over jsonb would pay for every embedding.
 */
export class Migration20261122010200_row_triggers extends Migration {
  override up(): void {
    this.addSql(refuseChange)
    this.addSql(installChannel)
    this.addSql(installTouch)
    for (const statement of tables) this.addSql(statement)
    for (const table of replicated)
      this.addSql(`alter table ${table} replica identity using index ${table}_id_channel_key`)
  }

  override down(): void {
    for (const table of replicated) this.addSql(`alter table ${table} replica identity default`)
    this.addSql(`
do $$
declare trigger record;
begin
  for trigger in
    select t.tgname, t.tgrelid::regclass as relation, t.tgfoid::regprocedure as function from pg_trigger t
    where t.tgname in ('a_channel', 'b_touch') and not t.tgisinternal
  loop
    execute format('drop trigger %I on %s', trigger.tgname, trigger.relation);
    execute format('drop function %s', trigger.function);
  end loop;
end $$`)
    this.addSql('drop function sync.install_channel(text, text)')
    this.addSql('drop function sync.install_touch(text, text[], text[], text)')
    this.addSql('drop function sync.refuse_change(text, text)')
  }
}

const refuseChange = `
create function sync.refuse_change(target text, column_name text) returns void language plpgsql as $$
begin
  raise exception 'Column %.% cannot change once the row exists.', target, column_name
    using errcode = 'check_violation', table = target, column = column_name, constraint = target || '_' || column_name || '_fixed';
end $$`

const installChannel = `
create function sync.install_channel(target text, expression text) returns void language plpgsql as $install$
begin
  execute format($f$
    create or replace function sync.channel_%1$s() returns trigger language plpgsql as $body$
    begin
      new.channel := %2$s;
      return new;
    end $body$ $f$, target, expression);
  execute format('create or replace trigger a_channel before insert or update on public.%1$I for each row execute function sync.channel_%1$s()', target);
  execute format('alter table public.%I enable always trigger a_channel', target);
end $install$`

/**
 * Generated columns are not computed yet in a BEFORE trigger, so they take no part in the comparison; the functions
 * must be installed again when a table gains one. A foreign key's SET NULL may clear a fixed column: it runs inside the
 * trigger of the parent, at a depth above 1.
 */
const installTouch = `
create function sync.install_touch(target text, fixed text[], silent text[], open_while text default 'false')
returns void language plpgsql as $install$
declare
  columns text[] := array(
    select attname from pg_attribute
    where attrelid = ('public.' || quote_ident(target))::regclass and attnum > 0 and not attisdropped and attgenerated = ''
  );
  generated text[] := array(
    select attname from pg_attribute
    where attrelid = ('public.' || quote_ident(target))::regclass and attnum > 0 and not attisdropped and attgenerated <> ''
  );
  guards text := '';
  ignored text := '';
  name text;
begin
  foreach name in array array['id', 'organization_id'] loop
    if name = any (columns) then
      guards := guards || format('if new.%1$I is distinct from old.%1$I then perform sync.refuse_change(%2$L, %1$L); end if; ', name, target);
    end if;
  end loop;
  foreach name in array fixed loop
    guards := guards || format(
      'if new.%1$I is distinct from old.%1$I and not (new.%1$I is null and pg_trigger_depth() > 1) and not coalesce(%3$s, false) then perform sync.refuse_change(%2$L, %1$L); end if; ',
      name, target, open_while);
  end loop;
  foreach name in array silent || generated || array['updated_at'] || array_remove(array['version'], case when not 'version' = any (columns) then 'version' end) loop
    ignored := ignored || format('compared.%1$I := old.%1$I; ', name);
  end loop;
  execute format($f$
    create or replace function sync.touch_%1$s() returns trigger language plpgsql as $body$
    declare
      compared public.%1$I := new;
      touched boolean;
    begin
      %2$s
      new.created_at := old.created_at;
      compared.created_at := old.created_at;
      %3$s
      touched := compared is distinct from old;
      new.updated_at := case when touched then now() else old.updated_at end;
      %4$s
      return new;
    end $body$ $f$, target, guards, ignored,
    case when 'version' = any (columns) then 'new.version := old.version + touched::integer;' else '' end);
  execute format('create or replace trigger b_touch before update on public.%1$I for each row execute function sync.touch_%1$s()', target);
  execute format('alter table public.%I enable always trigger b_touch', target);
end $install$`

const tables = [
  `select sync.install_touch('access_tokens', '{}', '{}')`,
  `select sync.install_channel('agent_capabilities', $$'organization/' || new.organization_id$$)`,
  `select sync.install_touch('agent_capabilities', '{agent_id,kind,name}', '{}')`,
  `select sync.install_channel('agent_instances', $$'organization/' || new.organization_id$$)`,
  `select sync.install_touch('agent_instances', '{agent_id}', '{last_heartbeat_at,cpu_percent,memory_mb,battery_percent,resource_usage}')`,
  `select sync.install_channel('agent_sessions', $$'agent/' || new.agent_id$$)`,
  `select sync.install_touch('agent_sessions', '{agent_id}', '{last_activity_at}')`,
  `select sync.install_channel('agent_types', $$coalesce('organization/' || new.organization_id, 'global')$$)`,
  `select sync.install_touch('agent_types', '{key}', '{}')`,
  `select sync.install_channel('agents', $$'organization/' || new.organization_id$$)`,
  `select sync.install_touch('agents', '{external_agent_id}', '{last_heartbeat_at,ip_address,host_name}')`,
  `select sync.install_touch('auth_sessions', '{}', '{}')`,
  `select sync.install_channel('context_vectors', $$'agent/' || new.agent_id$$)`,
  `select sync.install_touch('context_vectors', '{}', '{}')`,
  `select sync.install_channel('conversation_participants', $$'conversation/' || new.conversation_id$$)`,
  `select sync.install_touch('conversation_participants', '{conversation_id,user_id,agent_id}', '{}')`,
  `select sync.install_channel('conversations', $$new.scope || '/' || case new.scope when 'organization' then new.organization_id when 'project' then new.project_id when 'team' then new.team_id when 'user' then new.user_id when 'agent' then new.agent_id end$$)`,
  `select sync.install_touch('conversations', '{}', '{}')`,
  `select sync.install_touch('credentials', '{}', '{}')`,
  `select sync.install_channel('devices', $$coalesce('user/' || new.user_id, 'agent/' || new.agent_id)$$)`,
  `select sync.install_touch('devices', '{user_id,agent_id,fingerprint,kind}', '{last_seen_at,last_ip,battery_percent}')`,
  `select sync.install_channel('macro_step_dependencies', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('macro_step_dependencies', '{project_id,macro_step_id,depends_on_id}', '{}')`,
  `select sync.install_channel('macro_steps', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('macro_steps', '{project_id}', '{}')`,
  `select sync.install_channel('memories', $$new.scope || '/' || case new.scope when 'organization' then new.organization_id when 'project' then new.project_id when 'team' then new.team_id when 'user' then new.user_id when 'agent' then new.agent_id end$$)`,
  `select sync.install_touch('memories', '{}', '{access_count,last_accessed_at}')`,
  `select sync.install_channel('memory_tags', $$'memory/' || new.memory_id$$)`,
  `select sync.install_touch('memory_tags', '{memory_id,tag}', '{}')`,
  `select sync.install_channel('messages', $$'conversation/' || new.conversation_id$$)`,
  `select sync.install_touch('messages', '{conversation_id,role,content,content_parts,tool_calls,sent_at}', '{}', $$old.status in ('pending', 'streaming')$$)`,
  `select sync.install_channel('organization_members', $$'organization/' || new.organization_id$$)`,
  `select sync.install_touch('organization_members', '{user_id}', '{}')`,
  `select sync.install_channel('organizations', $$'organization/' || new.id$$)`,
  `select sync.install_touch('organizations', '{}', '{}')`,
  `select sync.install_channel('phases', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('phases', '{project_id}', '{}')`,
  `select sync.install_channel('plans', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('plans', '{project_id}', '{}')`,
  `select sync.install_channel('project_closures', $$'organization/' || new.organization_id$$)`,
  `select sync.install_touch('project_closures', '{}', '{}')`,
  `select sync.install_channel('project_members', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('project_members', '{project_id,user_id,team_id,agent_id}', '{}')`,
  `select sync.install_channel('project_states', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('project_states', '{project_id}', '{}')`,
  `select sync.install_channel('projects', $$case new.visibility when 'organization' then 'organization/' || new.organization_id when 'team' then coalesce('team/' || new.team_id, 'project/' || new.id) else 'project/' || new.id end$$)`,
  `select sync.install_touch('projects', '{}', '{}')`,
  `select sync.install_channel('repositories', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('repositories', '{}', '{}')`,
  `select sync.install_channel('repository_analyses', $$'repository/' || new.repository_id$$)`,
  `select sync.install_touch('repository_analyses', '{repository_id}', '{}')`,
  `select sync.install_channel('repository_branches', $$'repository/' || new.repository_id$$)`,
  `select sync.install_touch('repository_branches', '{repository_id}', '{}')`,
  `select sync.install_touch('sync_capture', '{}', '{}')`,
  `select sync.install_touch('sync_conflicts', '{device_id,user_id,agent_id,mutation_id,table_name,row_id,kind,base_version,server_version,fields,client_patch}', '{}', $$old.status = 'open'$$)`,
  `select sync.install_touch('sync_subscriptions', '{}', '{}')`,
  `select sync.install_touch('sync_tables', '{}', '{}')`,
  `select sync.install_channel('task_dependencies', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('task_dependencies', '{project_id,task_id,depends_on_task_id,kind}', '{}')`,
  `select sync.install_channel('task_runs', $$coalesce('project/' || new.project_id, 'agent/' || new.agent_id, 'organization/' || new.organization_id)$$)`,
  `select sync.install_touch('task_runs', '{project_id,task_id,attempt}', '{}')`,
  `select sync.install_channel('tasks', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('tasks', '{project_id}', '{}')`,
  `select sync.install_channel('team_memberships', $$'organization/' || new.organization_id$$)`,
  `select sync.install_touch('team_memberships', '{team_id,user_id,agent_id}', '{}')`,
  `select sync.install_channel('teams', $$'organization/' || new.organization_id$$)`,
  `select sync.install_touch('teams', '{}', '{}')`,
  `select sync.install_touch('user_credentials', '{}', '{}')`,
  `select sync.install_channel('user_preferences', $$'user/' || new.user_id$$)`,
  `select sync.install_touch('user_preferences', '{user_id,category,key}', '{}')`,
  `select sync.install_channel('users', $$'user/' || new.id$$)`,
  `select sync.install_touch('users', '{}', '{last_login_at}')`,
  `select sync.install_channel('workflow_runs', $$coalesce('project/' || new.project_id, 'organization/' || new.organization_id)$$)`,
  `select sync.install_touch('workflow_runs', '{}', '{}')`,
  `select sync.install_channel('workflows', $$coalesce('project/' || new.project_id, 'organization/' || new.organization_id)$$)`,
  `select sync.install_touch('workflows', '{}', '{}')`,
]

/** Deletes and moves must carry the old channel through logical replication. */
const replicated = [
  'agent_capabilities',
  'agent_instances',
  'agent_sessions',
  'agent_types',
  'agents',
  'context_vectors',
  'conversation_participants',
  'conversations',
  'devices',
  'macro_step_dependencies',
  'macro_steps',
  'memories',
  'memory_tags',
  'messages',
  'organization_members',
  'organizations',
  'phases',
  'plans',
  'project_closures',
  'project_members',
  'project_states',
  'projects',
  'repositories',
  'repository_analyses',
  'repository_branches',
  'sync_conflicts',
  'task_dependencies',
  'task_runs',
  'tasks',
  'team_memberships',
  'teams',
  'user_preferences',
  'users',
  'workflow_runs',
  'workflows',
]
