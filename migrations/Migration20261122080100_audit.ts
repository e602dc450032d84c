import { Migration } from '@mikro-orm/migrations'

/**
 * Who changed what of identity, permissions, prompts, prices, credentials and integrations: one row of `audit_logs` per change, with
 * the columns that changed as they were and as they are. Columns that hold secrets, or what a secret could be told from, are named
 * and never shown. And the two look-ups that come before an organization is known.
 */
export class Migration20261122080100_audit extends Migration {
  override up(): void {
    for (const statement of [auditRow, authenticateToken, membershipsOf]) this.addSql(statement)
    for (const table of audited)
      this.addSql(
        `create trigger z_audit after insert or update or delete on ${table} for each row execute function sync.audit_row()`,
      )
  }

  override down(): void {
    for (const table of audited) this.addSql(`drop trigger z_audit on ${table}`)
    for (const name of ['memberships_of(uuid)', 'authenticate_token(bytea)', 'audit_row()'])
      this.addSql(`drop function sync.${name}`)
  }
}

const audited = [
  'access_tokens',
  'agent_permissions',
  'auth_sessions',
  'credentials',
  'integrations',
  'knowledge_grants',
  'model_prices',
  'organization_members',
  'organizations',
  'project_members',
  'prompts',
  'retention_policies',
  'team_memberships',
  'teams',
  'user_credentials',
  'users',
  'webhooks',
]

/**
 * What changes with every use is no change. A row that goes with its organization is logged without it, for the log refers to
 * organizations that are there.
 */
export const auditRow = `
create function sync.audit_row() returns trigger language plpgsql as $$
declare
  was jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  became jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
  subject jsonb := coalesce(became, was);
  changed text[] := array(
    select key from jsonb_object_keys(subject) as key
    where (was->key) is distinct from (became->key)
      and key not in ('version', 'channel', 'created_at', 'updated_at', 'last_used_at', 'last_login_at', 'last_delivery_at', 'last_status', 'last_synced_at', 'sync_cursor')
    order by key
  );
  shown text[] := array(
    select key from unnest(changed) as key
    where key !~ '(^|_)(ciphertext|password_hash|token_hash|fingerprint|endpoint_key)$'
  );
  actor record := sync.current_actor();
  owner uuid := coalesce((subject->>'organization_id')::uuid, sync.current_org());
begin
  -- A session that goes on is renewed every few minutes.
  if tg_op = 'UPDATE' and (changed = '{}' or tg_table_name = 'auth_sessions' and changed <@ array['refresh_token_hash', 'expires_at']) then
    return null;
  end if;
  if tg_op = 'DELETE' and not exists (select from public.organizations o where o.id = owner) then
    owner := null;
  end if;
  insert into public.audit_logs (
    organization_id, origin_device_id, actor_user_id, actor_agent_id, device_id, action, table_name, row_id, row_version,
    changed_columns, before, after, mutation_id, details
  ) values (
    owner, actor.device_id, actor.user_id, actor.agent_id, actor.device_id, lower(tg_op), tg_table_name,
    (subject->>'id')::uuid, (subject->>'version')::integer, changed,
    (select jsonb_object_agg(key, was->key) from unnest(shown) as key where was is not null),
    (select jsonb_object_agg(key, became->key) from unnest(shown) as key where became is not null),
    actor.mutation_id,
    case when owner is null and subject->>'organization_id' is not null
      then jsonb_build_object('organizationId', subject->>'organization_id') else '{}' end
  );
  return null;
end $$`

export const authenticateToken = `
create function sync.authenticate_token(hash bytea)
returns table (id uuid, organization_id uuid, user_id uuid, agent_id uuid, expires_at timestamptz, revoked_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select t.id, t.organization_id, t.user_id, t.agent_id, t.expires_at, t.revoked_at from public.access_tokens t where t.token_hash = hash
$$`

/** The organizations that a person is an active member of, while they are active themselves. */
const membershipsOf = `
create function sync.memberships_of(person uuid) returns table (organization_id uuid, slug text, role text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select o.id, o.slug, m.role
  from public.organization_members m
  join public.organizations o on o.id = m.organization_id and o.status = 'active' and o.deleted_at is null
  where m.user_id = person and m.status = 'active' and m.deleted_at is null
$$`
