import { Migration } from '@mikro-orm/migrations'

/**
 * Roles, grants and row-level security: what the database itself refuses, whatever the server thinks.
 *
 *     app_owner     owns the schema, where an operator gives it to it; the owner is exempt from row-level security
 *     app_rw        writes in the name of one organization (`app.organization_id`): pushes and actions run under it
 *     app_feed      reads synced tables of all organizations, and writes the change log
 *     app_readonly  reads everything but secrets, of all organizations
 *
 * They are groups without login and without password; `sync.secure()` gives each table its policies and grants, by rules, and
 * is called after every migration, so that a later table gets its own. Roles belong to the whole cluster, so taking this
 * migration back leaves them.
 */
export class Migration20261122080000_roles extends Migration {
  override up(): void {
    for (const statement of [currentOrg, currentActor, knownMutations, writerRole, ensureRoles, wantedGrants, secure])
      this.addSql(statement)
    this.addSql('select sync.ensure_roles()')
    this.addSql('select sync.secure()')
  }

  override down(): void {
    this.addSql(unsecure)
    for (const name of [
      'secure()',
      'wanted_grants()',
      'ensure_roles()',
      'writer_role()',
      'known_mutations(uuid[], bigint[])',
      'current_actor()',
      'current_org()',
    ])
      this.addSql(`drop function sync.${name}`)
  }
}

/** The organization in whose name this transaction works; null: none. Not `set` in any way, so that it is inlined. */
const currentOrg = `
create function sync.current_org() returns uuid language sql stable parallel safe as $$
  select nullif(current_setting('app.organization_id', true), '')::uuid
$$`

/** Who works in this transaction, as the server said. At most one of user and agent. */
const currentActor = `
create function sync.current_actor(out user_id uuid, out agent_id uuid, out device_id uuid, out mutation_id uuid)
language sql stable parallel safe as $$
  select nullif(current_setting('app.user_id', true), '')::uuid, nullif(current_setting('app.agent_id', true), '')::uuid,
    nullif(current_setting('app.device_id', true), '')::uuid, nullif(current_setting('app.mutation_id', true), '')::uuid
$$`

/**
 * What the ledger has of mutations that the transaction's device sends, by id and by counter, and its newest counter (without id). A
 * definer's, for an id that another organization has used is known as well, though nothing of what it came to; and because a
 * policy's filter would have the planner read all of a device's ledger for its newest entry. A plan that was made while the
 * ledger was small would be kept too long.
 */
const knownMutations = `
create function sync.known_mutations(ids uuid[], seqs bigint[])
returns table (id uuid, own boolean, client_seq double precision, op text, result jsonb)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  device uuid := (sync.current_actor()).device_id;
begin
  return query
    select m.id, m.device_id = device, m.client_seq::double precision, m.op, case when m.device_id = device then m.result end
    from public.sync_mutations m
    where m.id = any (ids) or (m.device_id = device and m.client_seq = any (seqs))
    union all
    select null, true, coalesce(max(client_seq), 0)::double precision, null, null from public.sync_mutations where device_id = device;
end $$`

/** The role to write under: \`app_rw\` where there is one and this login may become it, else the one it has. */
const writerRole = `
create function sync.writer_role() returns text language plpgsql stable as $$
begin
  return case when pg_has_role(session_user, to_regrole('app_rw')::oid,
      case when current_setting('server_version_num')::integer >= 160000 then 'SET' else 'MEMBER' end)
    then 'app_rw' else current_setting('role') end;
end $$`

/**
 * Makes the roles that are missing, and this login a member of \`app_rw\`, as far as its rights go; \`tidewire doctor\` says what is
 * left. Another database of the cluster may do the same at the same time.
 */
const ensureRoles = `
create function sync.ensure_roles() returns void language plpgsql as $$
declare
  name text;
begin
  foreach name in array array['app_owner', 'app_rw', 'app_feed', 'app_readonly'] loop
    begin
      if to_regrole(name) is null then
        execute format('create role %I nologin', name);
        if name = 'app_readonly' then
          -- Settings are of the role that logs in: one that is a member of this needs its own.
          execute format('alter role %I set statement_timeout = %L', name, '30s');
        end if;
      end if;
    exception when insufficient_privilege or duplicate_object or unique_violation then null;
    end;
  end loop;
  begin
    if to_regrole('app_rw') is not null and sync.writer_role() <> 'app_rw' then
      execute format('grant app_rw to %I', session_user);
    end if;
  exception when insufficient_privilege or duplicate_object or unique_violation then null;
  end;
end $$`

/**
 * Who may do what, by rules:
 * a table with a column of hashes or ciphertext is secret, and for the owner alone;
 * one with \`organization_id\` is app_rw's, held to its organization by policies; of those that say what happened it may only add rows;
 * one without is the server's, but for the few that pushes read;
 * of a view that asks for the caller's rights, rows may be locked.
 */
export const wantedGrants = `
create function sync.wanted_grants() returns table (grantee text, relation oid, privilege text) language sql stable as $$
  with relations as (
    select c.oid, c.relname::text as name, n.nspname = 'sync' as internal, c.relkind as kind, c.relkind in ('r', 'p') as stored,
      'security_invoker=true' = any (c.reloptions) as invoked,
      exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id' and not a.attisdropped) as tenant,
      exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'channel' and not a.attisdropped) as synced,
      exists (select from pg_attribute a where a.attrelid = c.oid and a.attname ~ '(^|_)(ciphertext|password_hash|token_hash)$' and not a.attisdropped) as secret
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('public', 'sync') and c.relkind in ('r', 'p', 'v', 'm', 'S') and not c.relispartition
      and c.relname not like 'mikro\\_orm\\_migrations%'
      and not exists (
        select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and (d.deptype = 'e' or d.deptype in ('i', 'a') and c.relkind = 'S')
      )
  ), open as (
    select * from relations where not secret
  )
  select 'app_rw', oid, unnest(case
      when name in ('audit_logs', 'tool_audit_logs', 'memory_logs', 'sync_changes', 'sync_mutations', 'project_closures') then '{SELECT,INSERT}'
      when tenant then '{SELECT,INSERT,UPDATE,DELETE}'
      when name = 'users' then '{SELECT,UPDATE}'
      when name in ('sync_heads', 'sync_tables', 'system_settings') then '{SELECT}'
    end::text[])
  from open where stored and not internal
  union all
  select 'app_rw', oid, unnest(case
      when kind = 'S' then '{USAGE}'
      when name in ('settings', 'former_epochs') then '{SELECT}'
      when name = 'spilled_changes' then '{}'
      else '{SELECT,INSERT,UPDATE,DELETE}'
    end::text[])
  from open where internal and kind <> 'v'
  union all
  select 'app_rw', oid, unnest(case when invoked then '{SELECT,UPDATE}' else '{SELECT}' end::text[]) from open where kind = 'v'
  union all
  select 'app_feed', oid, unnest(case when name = 'sync_changes' then '{SELECT,INSERT}' else '{SELECT}' end::text[])
  from open where stored and not internal and (synced or name = 'sync_heads')
  union all
  select 'app_feed', oid, unnest('{SELECT,INSERT,UPDATE}'::text[]) from open where name = 'sync_capture' and not internal
  union all
  select 'app_feed', oid, unnest(case when kind = 'S' then '{USAGE}' when name = 'settings' then '{SELECT}' else '{SELECT,INSERT,DELETE}' end::text[])
  from open where internal and name in ('seq', 'settings', 'pending_changes', 'open_commits', 'spilled_changes')
  union all
  select 'app_readonly', oid, 'SELECT' from open where kind <> 'S' and (not internal or kind = 'v')
$$`

/**
 * What reaches beyond the writer's organization, or beyond what its role may do: the log takes keys of every organization that
 * a commit touched, its epoch is the database's, and a person's name is shown in all of theirs.
 */
const definers = "('begin_epoch', 'close_commit', 'compute_member_profile', 'compute_member_profiles')"

/**
 * Gives every table its policies, and every role exactly the grants it should have. Doing it again changes nothing. The owner of
 * a table is exempt. \`shipped_locked\` lets a shipped row be locked, by who refers to it; that one cannot be changed or
 * taken over is what \`b_touch\` sees to.
 */
export const secure = `
create function sync.secure() returns void language plpgsql as $$
declare
  target record;
  policy record;
  change record;
begin
  for target in
    select c.oid, c.oid::regclass as name, c.relname, c.relrowsecurity, not a.attnotnull and a.attgenerated = '' as shipped,
      exists (select from pg_attribute v where v.attrelid = c.oid and v.attname = 'version' and not v.attisdropped) as versioned,
      exists (select from pg_attribute v where v.attrelid = c.oid and v.attname = 'channel' and not v.attisdropped) as synced,
      a.attnum is null as people
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attname = 'organization_id' and not a.attisdropped
    where c.relkind in ('r', 'p') and not c.relispartition
      and (n.nspname = 'public' and (a.attnum is not null or c.relname = 'users') or n.nspname = 'sync' and a.attnotnull)
  loop
    if not target.relrowsecurity then
      execute format('alter table %s enable row level security', target.name);
    end if;
    for policy in
      select wanted.* from (values
        ('tenant', not target.people, $p$for all using (organization_id::text = current_setting('app.organization_id', true))$p$),
        ('shipped', not target.people and target.shipped, 'for select using (organization_id is null)'),
        ('shipped_locked', not target.people and target.shipped and target.versioned,
          'for update using (organization_id is null) with check (organization_id = sync.current_org())'),
        ('known', target.people, 'for select using (id = (sync.current_actor()).user_id or exists (
          select from public.organization_members m where m.user_id = users.id and m.organization_id = sync.current_org()))'),
        ('own', target.people, 'for update using (id = (sync.current_actor()).user_id)'),
        ('across_feed', target.synced and to_regrole('app_feed') is not null, 'for select to app_feed using (true)'),
        ('append_feed', target.relname = 'sync_changes' and to_regrole('app_feed') is not null, 'for insert to app_feed with check (true)'),
        ('across_readonly', to_regrole('app_readonly') is not null, 'for select to app_readonly using (true)')
      ) as wanted (name, applies, definition)
      where wanted.applies and not exists (select from pg_policy p where p.polrelid = target.oid and p.polname = wanted.name)
    loop
      execute format('create policy %I on %s %s', policy.name, target.name, policy.definition);
    end loop;
  end loop;

  for change in
    with actual as (
      select a.grantee, c.oid as relation, a.privilege_type as privilege
      from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
      where n.nspname in ('public', 'sync')
    ), wanted as (
      select w.grantee, to_regrole(w.grantee)::oid as role, w.relation, w.privilege from sync.wanted_grants() w where to_regrole(w.grantee) is not null
    ), changes as (
      select 'grant %s on %s %s to %I' as statement, w.grantee, w.relation, w.privilege from wanted w
      where not exists (select from actual a where (a.grantee, a.relation, a.privilege) = (w.role, w.relation, w.privilege))
      union all
      select 'revoke %s on %s %s from %I', r.rolname, a.relation, a.privilege from actual a join pg_roles r on r.oid = a.grantee
      where r.rolname in ('app_rw', 'app_feed', 'app_readonly')
        and not exists (select from wanted w where (w.role, w.relation, w.privilege) = (a.grantee, a.relation, a.privilege))
    )
    select format(statement, string_agg(privilege, ', ' order by privilege), case when c.relkind = 'S' then 'sequence' else 'table' end, relation::regclass, grantee) as statement
    from changes join pg_class c on c.oid = relation group by changes.statement, relation, grantee, c.relkind
  loop
    execute change.statement;
  end loop;

  -- A function that is replaced is nobody's definer any more.
  for change in
    select p.oid::regprocedure as function from pg_proc p
    where p.pronamespace = 'sync'::regnamespace and not p.prosecdef and p.proname in ${definers}
  loop
    execute format('alter function %s security definer set search_path = pg_catalog, pg_temp', change.function);
  end loop;

  for change in
    select rolname from pg_roles
    where rolname in ('app_rw', 'app_feed', 'app_readonly') and not has_schema_privilege(oid, 'sync', 'USAGE')
  loop
    execute format('grant usage on schema sync, public to %I', change.rolname);
  end loop;
end $$`

const unsecure = `
do $$
declare
  found record;
begin
  for found in
    select p.polname, p.polrelid::regclass as relation from pg_policy p
    where p.polname in ('tenant', 'shipped', 'shipped_locked', 'known', 'own', 'across_feed', 'append_feed', 'across_readonly')
  loop
    execute format('drop policy %I on %s', found.polname, found.relation);
  end loop;
  for found in
    select c.oid::regclass as relation from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('public', 'sync') and c.relrowsecurity
  loop
    execute format('alter table %s disable row level security', found.relation);
  end loop;
  for found in select rolname from pg_roles where rolname in ('app_rw', 'app_feed', 'app_readonly') loop
    execute format('revoke all on all tables in schema public, sync from %I', found.rolname);
    execute format('revoke all on all sequences in schema public, sync from %I', found.rolname);
    execute format('revoke all on schema public, sync from %I', found.rolname);
  end loop;
  for found in
    select p.oid::regprocedure as function from pg_proc p where p.pronamespace = 'sync'::regnamespace and p.prosecdef and p.proname in ${definers}
  loop
    execute format('alter function %s security invoker reset search_path', found.function);
  end loop;
end $$`
