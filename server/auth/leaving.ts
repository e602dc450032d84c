/**
 * People who leave. Deactivating ends what they can do and hands on what they own; anonymising also takes out who they
 * were. Their rows stay: others build on them. Both are one transaction, whose changes reach replicas and end sessions
 * like any others.
 */
import type pg from 'pg'
import { TideError } from '../../protocol/error.ts'
import { inOneTransaction } from '../db/db.ts'

export interface LeavingOptions {
  readonly pool: pg.Pool
  readonly userId: string
  /** Who gets what they own; where absent, the first other owner or admin of each organization. */
  readonly successorId?: string | undefined
  /** In a transaction that is taken back: it only says what would change. */
  readonly dryRun?: boolean
}

/** Rows that changed, or would, by what was done. */
export type LeavingReport = Readonly<Record<string, number>>

interface Membership {
  readonly organizationId: string
  readonly slug: string
  readonly successorId: string | null
  readonly owns: number
  readonly onlyOwner: boolean
}

/** $1 the person, $2 the successor that was named, or null. */
const membershipsSql = `
select m.organization_id as "organizationId", o.slug, heir.user_id as "successorId",
  (select count(*) from projects where organization_id = o.id and owner_user_id = $1 and deleted_at is null)::integer
    + (select count(*) from teams where organization_id = o.id and lead_user_id = $1 and deleted_at is null)::integer
    + (select count(*) from agents where organization_id = o.id and owner_user_id = $1 and deleted_at is null)::integer as owns,
  m.role = 'owner' and not exists (
    select from organization_members n join users u on u.id = n.user_id and u.status = 'active' and u.deleted_at is null
    where n.organization_id = o.id and n.user_id <> $1 and n.role = 'owner' and n.status = 'active' and n.deleted_at is null
  ) as "onlyOwner"
from organization_members m join organizations o on o.id = m.organization_id and o.deleted_at is null
left join lateral (
  select n.user_id from organization_members n join users u on u.id = n.user_id and u.status = 'active' and u.deleted_at is null
  where n.organization_id = o.id and n.user_id <> $1 and n.status = 'active' and n.deleted_at is null
    and case when $2::uuid is null then n.role in ('owner', 'admin') else n.user_id = $2 end
  order by n.role = 'owner' desc, n.created_at, n.id limit 1
) heir on true
where m.user_id = $1 and m.deleted_at is null order by o.slug`

/** $1 the person, $2 the organization, $3 who takes over. */
const handOver = {
  projects: 'update projects set owner_user_id = $3 where organization_id = $2 and owner_user_id = $1',
  teams: 'update teams set lead_user_id = $3 where organization_id = $2 and lead_user_id = $1',
  agents: 'update agents set owner_user_id = $3 where organization_id = $2 and owner_user_id = $1',
} as const

/** $1 the person. What stands in for a secret opens to nothing. */
const endings = {
  accounts: `update users set status = 'deactivated' where id = $1 and status <> 'deactivated'`,
  memberships: `update organization_members set status = 'suspended' where user_id = $1 and status <> 'suspended'`,
  // Before the devices, which would end theirs for another reason.
  sessions: `update auth_sessions set revoked_at = now(), revoke_reason = 'deactivated', updated_at = now() where user_id = $1 and revoked_at is null`,
  devices: 'update devices set revoked_at = now() where user_id = $1 and revoked_at is null',
  tokens: 'update access_tokens set revoked_at = now(), updated_at = now() where user_id = $1 and revoked_at is null',
  invitations: `update sync.invitations set withdrawn_at = now() where invited_by_user_id = $1 and accepted_at is null and withdrawn_at is null`,
  credentials: `update credentials set revoked_at = now(), updated_at = now(), secret_ciphertext = decode(repeat('00', 29), 'hex'), refresh_ciphertext = null, last_four = null
    where user_id = $1 and revoked_at is null`,
} as const

/** $1 the person. Sessions and tokens have been ended before. The log of changes last: what came before is in it. */
const erasures = {
  passwords: 'delete from user_credentials where user_id = $1',
  sessions: 'delete from auth_sessions where user_id = $1',
  credentials: 'delete from credentials where user_id = $1',
  preferences: 'delete from user_preferences where user_id = $1',
  notifications: 'delete from notifications where user_id = $1',
  devices: `update devices set name = 'removed', platform = null, os_version = null, app_version = null, public_key = null,
    last_ip = null, metadata = '{}' where user_id = $1`,
  accounts: `update users set email = 'anonymous-' || id || '@invalid', name = null, avatar_url = null, locale = 'en', timezone = 'UTC', email_verified_at = null,
    last_login_at = null, is_system_admin = false where id = $1`,
  conflicts: `delete from sync_conflicts where table_name = 'users' and row_id = $1`,
  mutations: `update sync_mutations set payload = '{}', result = '{}' where table_name = 'users' and row_id = $1`,
  'audit rows': `update audit_logs a set before = sync.without_person(before), after = sync.without_person(after), ip_address = case when actor_user_id = $1 then null else ip_address end
    where actor_user_id = $1 and ip_address is not null or table_name = 'users' and row_id = $1
      or table_name = 'organization_members' and row_id in (select id from organization_members where user_id = $1)
      or table_name in ('auth_sessions', 'user_credentials', 'credentials') and coalesce(before, after)->>'user_id' = $1::text`,
} as const

/**
 * Ends all that a person can do. Throws `constraint_violated` for the only owner of an organization, and when nobody
 * could take over.
 */
export async function deactivateUser(options: LeavingOptions): Promise<LeavingReport> {
  return leaving(options, 'user.deactivate', async (client, report) => deactivate(client, options, report))
}

/**
 * Deactivates, and takes out of the database who they were, but for what they wrote themselves. It cannot be undone.
 */
export async function anonymiseUser(options: LeavingOptions): Promise<LeavingReport> {
  return leaving(options, 'user.anonymise', async (client, report) => {
    await deactivate(client, options, report)
    const { rows } = await client.query<{ email: string }>('select email from users where id = $1', [options.userId])
    await client.query('delete from sync.invitations where email = $1', [rows[0]?.email])
    for (const [what, sql] of Object.entries(erasures))
      report(`${what} erased`, (await client.query(sql, [options.userId])).rowCount ?? 0)
  })
}

type Report = (what: string, rows: number) => void

async function leaving(
  { pool, userId, dryRun = false }: LeavingOptions,
  action: string,
  work: (client: pg.ClientBase, report: Report) => Promise<void>,
): Promise<LeavingReport> {
  const counts: Record<string, number> = {}
  const leave = async (client: pg.ClientBase): Promise<LeavingReport> => {
    await client.query('select from users where id = $1 for update', [userId])
    await work(client, (what, rows) => {
      if (rows > 0) counts[what] = (counts[what] ?? 0) + rows
    })
    await client.query(
      `insert into audit_logs (organization_id, action, table_name, row_id, details)
       select organization_id, $2, 'users', $1, $3 from organization_members where user_id = $1 and deleted_at is null`,
      [userId, action, JSON.stringify(counts)],
    )
    return counts
  }
  return inOneTransaction(pool, leave, { end: dryRun ? 'rollback' : 'commit' })
}

async function deactivate(
  client: pg.ClientBase,
  { userId, successorId }: LeavingOptions,
  report: Report,
): Promise<void> {
  const { rows } = await client.query<Membership>(membershipsSql, [userId, successorId ?? null])
  for (const { organizationId, slug, successorId: heir, owns, onlyOwner } of rows) {
    if (onlyOwner)
      throw new TideError('constraint_violated', `They are the only owner of organization ${slug}.`, {
        remedy: 'Make somebody else an owner first.',
      })
    if (heir === null && owns > 0)
      throw new TideError(
        'constraint_violated',
        `Nobody of organization ${slug} can take over the ${owns} projects, teams and agents that are theirs.`,
        {
          remedy: 'Name an active member of it with --transfer-to, or make somebody an admin there.',
        },
      )
    if (heir === null) continue
    for (const [what, sql] of Object.entries(handOver))
      report(`${what} handed over`, (await client.query(sql, [userId, organizationId, heir])).rowCount ?? 0)
  }
  for (const [what, sql] of Object.entries(endings))
    report(`${what} ended`, (await client.query(sql, [userId])).rowCount ?? 0)
}
