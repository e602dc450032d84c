import { Migration } from '@mikro-orm/migrations'

/**
 * Invitations into an organization by e-mail address. Of the token there is a hash, so the table is the owner's alone; writers make
 * and withdraw invitations of their organization by functions.
 */
export class Migration20261122080200_invitations extends Migration {
  override up(): void {
    for (const statement of [
      invitations,
      'create index invitations_organization_id_idx on sync.invitations (organization_id, email)',
      'create index invitations_invited_by_idx on sync.invitations (invited_by_user_id)',
      invite,
      withdraw,
      'select sync.secure()',
    ])
      this.addSql(statement)
  }

  override down(): void {
    this.addSql('drop function sync.withdraw_invitation(uuid)')
    this.addSql('drop function sync.invite(text, text, bytea, timestamptz)')
    this.addSql('drop table sync.invitations')
  }
}

const invitations = `
create table sync.invitations (
  id uuid primary key default sync.uuid_v7(),
  organization_id uuid not null references public.organizations on delete cascade,
  email text not null check (email = lower(email) and position('@' in email) > 1),
  role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
  token_hash bytea not null unique,
  invited_by_user_id uuid references public.users on delete set null,
  expires_at timestamptz not null,
  accepted_at timestamptz,
  withdrawn_at timestamptz,
  created_at timestamptz not null default now()
)`

/** Of an address there is one open invitation: the newest. Null: it is a member already. */
const invite = `
create function sync.invite(address text, new_role text, hash bytea, until timestamptz) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  made uuid;
begin
  if exists (
    select from public.organization_members m join public.users u on u.id = m.user_id
    where m.organization_id = sync.current_org() and m.deleted_at is null and u.email = address and u.deleted_at is null
  ) then
    return null;
  end if;
  update sync.invitations set withdrawn_at = now()
  where organization_id = sync.current_org() and email = address and accepted_at is null and withdrawn_at is null;
  insert into sync.invitations (organization_id, email, role, token_hash, invited_by_user_id, expires_at)
  values (sync.current_org(), address, new_role, hash, (sync.current_actor()).user_id, until)
  returning id into made;
  return made;
end $$`

const withdraw = `
create function sync.withdraw_invitation(invitation uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update sync.invitations set withdrawn_at = now()
  where id = invitation and organization_id = sync.current_org() and accepted_at is null and withdrawn_at is null;
  return found;
end $$`
