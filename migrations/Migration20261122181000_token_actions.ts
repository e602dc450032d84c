import { Migration } from '@mikro-orm/migrations'
import { authenticateToken as formerAuthenticateToken } from './Migration20261122080100_audit.ts'
import { wantedExecutions as formerWantedExecutions } from './Migration20261122179200_open_invitations.ts'

/**
 * People see, make and end access tokens, and end devices. The table of tokens has their hashes, so it stays the owner's: writers
 * reach it by functions, in the name of their organization. Whoever ends a device is noted.
 */
export class Migration20261122181000_token_actions extends Migration {
  override up(): void {
    this.addSql('drop function sync.authenticate_token(bytea)')
    for (const statement of [
      authenticateToken,
      accessTokensOf,
      issueToken,
      revokeToken,
      auditDevices,
      wantedExecutions,
    ])
      this.addSql(statement)
    this.addSql('select sync.secure()')
  }

  override down(): void {
    this.addSql(formerWantedExecutions)
    this.addSql('drop trigger z_audit on devices')
    this.addSql('drop function sync.revoke_token(uuid, uuid)')
    this.addSql('drop function sync.issue_token(uuid, uuid, text, bytea, text, text[], timestamptz)')
    this.addSql('drop function sync.access_tokens_of(uuid)')
    this.addSql('drop function sync.authenticate_token(bytea)')
    this.addSql(formerAuthenticateToken)
    this.addSql('select sync.secure()')
  }
}

const authenticateToken = `
create function sync.authenticate_token(hash bytea)
returns table (id uuid, organization_id uuid, user_id uuid, agent_id uuid, expires_at timestamptz, revoked_at timestamptz, scopes text[])
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select t.id, t.organization_id, t.user_id, t.agent_id, t.expires_at, t.revoked_at, t.scopes from public.access_tokens t where t.token_hash = hash
$$`

/** Those that are good, of the organization of the transaction: of somebody and of the agents that are theirs, or of all when null. */
const accessTokensOf = `
create function sync.access_tokens_of(holder uuid)
returns table (
  id uuid, user_id uuid, agent_id uuid, device_id uuid, name text, token_prefix text, scopes text[],
  expires_at timestamptz, last_used_at timestamptz, created_at timestamptz
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select t.id, t.user_id, t.agent_id, t.device_id, t.name, t.token_prefix, t.scopes, t.expires_at, t.last_used_at, t.created_at
  from public.access_tokens t
  where t.organization_id = sync.current_org() and t.revoked_at is null and (t.expires_at is null or t.expires_at > now())
    and (
      holder is null or t.user_id = holder or t.agent_id = holder
      or exists (select from public.agents a where a.id = t.agent_id and a.owner_user_id = holder and a.deleted_at is null)
    )
$$`

/** Null: whoever it would be of has as many as are allowed. */
const issueToken = `
create function sync.issue_token(person uuid, agent uuid, label text, hash bytea, prefix text, allowed text[], until timestamptz) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  made uuid;
begin
  if 100 <= (
    select count(*) from public.access_tokens t
    where t.organization_id = sync.current_org() and (t.user_id = person or t.agent_id = agent)
      and t.revoked_at is null and (t.expires_at is null or t.expires_at > now())
  ) then
    return null;
  end if;
  insert into public.access_tokens (id, organization_id, user_id, agent_id, name, token_hash, token_prefix, scopes, expires_at)
  values (sync.uuid_v7(), sync.current_org(), person, agent, label, hash, prefix, allowed, until)
  returning id into made;
  return made;
end $$`

/** Of the same as \`access_tokens_of\`. False: there is none. */
const revokeToken = `
create function sync.revoke_token(token uuid, holder uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update public.access_tokens t set revoked_at = now(), updated_at = now()
  where t.id = token and t.id in (select o.id from sync.access_tokens_of(holder) o);
  return found;
end $$`

/** Devices change with all that they do; that one is ended is news. */
const auditDevices = `
create trigger z_audit after update of revoked_at on devices for each row
when (old.revoked_at is distinct from new.revoked_at) execute function sync.audit_row()`

const wantedExecutions = formerWantedExecutions.replace(
  `'credential_kind',`,
  `'access_tokens_of', 'credential_kind', 'issue_token', 'revoke_token',`,
)
