import { Migration } from '@mikro-orm/migrations'
import { wantedExecutions as formerWantedExecutions } from './Migration20261122179100_definers.ts'

/** Admins see which invitations are open. The table has hashes of tokens, so it stays the owner's, and a function shows the rest of it. */
export class Migration20261122179200_open_invitations extends Migration {
  override up(): void {
    this.addSql(openInvitations)
    this.addSql(wantedExecutions)
    this.addSql('select sync.secure()')
  }

  override down(): void {
    this.addSql(replacing(formerWantedExecutions))
    this.addSql('drop function sync.open_invitations()')
  }
}

const replacing = (statement: string): string => statement.replace('create function', 'create or replace function')

/** Of the organization of the transaction, newest first, those that somebody could accept. At most a thousand. */
const openInvitations = `
create function sync.open_invitations()
returns table (id uuid, email text, role text, invited_by_user_id uuid, expires_at timestamptz, created_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select i.id, i.email, i.role, i.invited_by_user_id, i.expires_at, i.created_at from sync.invitations i
  where i.organization_id = sync.current_org() and i.accepted_at is null and i.withdrawn_at is null and i.expires_at > now()
  order by i.created_at desc, i.id limit 1000
$$`

export const wantedExecutions = replacing(formerWantedExecutions).replace(
  `'known_mutations',`,
  `'known_mutations', 'open_invitations',`,
)
