import { createHash } from 'node:crypto'
import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import { TideError } from '../../protocol/error.ts'
import { inOneTransaction } from '../db/db.ts'
import { hashPassword } from './password.ts'

export interface Acceptance {
  readonly token: string
  /** Of the account with the invited address; becomes the password of a new one. */
  readonly password: string
  /** Of a new account. */
  readonly name?: string | undefined
}

/** Who joined which organization. */
export interface Joined {
  readonly email: string
  /** Slug of the organization. */
  readonly organization: string
}

export interface AcceptInvitationDeps {
  readonly pool: pg.Pool
  readonly clock: Clock
  readonly random: Random
  /** Throws `sign_in_refused` unless it is the password of the account. */
  readonly check: (email: string, password: string) => Promise<unknown>
}

interface InvitationRow {
  readonly id: string
  readonly organization_id: string
  readonly slug: string
  readonly email: string
  readonly role: string
  readonly expires_at: Date
  readonly ended: boolean
  readonly user_id: string | null
  /** Whether who invited is still an active member who may invite into this role. */
  readonly vouched: boolean
}

const invitationSql = `
select i.id, i.organization_id, o.slug, i.email, i.role, i.expires_at, coalesce(i.accepted_at, i.withdrawn_at) is not null as ended,
  (select u.id from users u where u.email = i.email and u.deleted_at is null) as user_id,
  exists (
    select from organization_members m join users u on u.id = m.user_id and u.status = 'active' and u.deleted_at is null
    where m.organization_id = i.organization_id and m.user_id = i.invited_by_user_id and m.status = 'active' and m.deleted_at is null
      and (m.role = 'owner' or m.role = 'admin' and i.role <> 'owner')
  ) as vouched
from sync.invitations i join organizations o on o.id = i.organization_id and o.status = 'active' and o.deleted_at is null
where i.token_hash = $1`

/**
 * A membership that has ended begins again; one that is there, suspended ones too, stays as it is, and nothing is
 * written.
 */
const joinSql = `
insert into organization_members (id, organization_id, user_id, role, invited_by_user_id, joined_at)
select $1, i.organization_id, $2, i.role, i.invited_by_user_id, now() from sync.invitations i
where i.id = $3 and not exists (
  select from organization_members m where m.organization_id = i.organization_id and m.user_id = $2 and m.deleted_at is null
)
on conflict (id) do update set role = excluded.role, status = 'active', joined_at = excluded.joined_at, deleted_at = null,
  invited_by_user_id = excluded.invited_by_user_id
where organization_members.deleted_at is not null`

/**
 * Makes a member of whoever has the token of an invitation, and an account where the address has none. An account that
 * is there is joined only with its own password: who knows the token may not be who has the account. Throws
 * `token_invalid`, `token_expired`, `sign_in_refused`, `invalid_value`.
 */
export async function acceptInvitation(
  { pool, clock, random, check }: AcceptInvitationDeps,
  { token, password, name }: Acceptance,
): Promise<Joined> {
  const hash = createHash('sha256').update(token).digest()
  const found = await openInvitation(pool, hash, clock)
  const passwordHash = found.user_id === null ? await hashPassword(password) : undefined
  if (found.user_id !== null) await check(found.email, password)
  const newId = createUuidSource(clock, random)
  return inOneTransaction(pool, async (client) => {
    // One of two who accept at the same time waits here, and then finds it accepted.
    await client.query('select from sync.invitations where token_hash = $1 for update', [hash])
    const invitation = await openInvitation(client, hash, clock)
    if (invitation.user_id !== found.user_id)
      throw new TideError('sign_in_refused', 'An account with this address was made meanwhile; accept again.')
    const userId = invitation.user_id ?? newId()
    await client.query(`select set_config('app.organization_id', $1, true), set_config('app.user_id', $2, true)`, [
      invitation.organization_id,
      userId,
    ])
    if (passwordHash !== undefined) {
      await client.query('insert into users (id, email, name) values ($1, $2, $3)', [
        userId,
        invitation.email,
        name ?? null,
      ])
      await client.query('insert into user_credentials (id, user_id, password_hash) values ($1, $2, $3)', [
        newId(),
        userId,
        passwordHash,
      ])
    }
    const membershipId = uuidFromKey('organization_members', [invitation.organization_id, userId])
    const { rowCount } = await client.query(joinSql, [membershipId, userId, invitation.id])
    if (rowCount === 0)
      throw new TideError(
        'token_invalid',
        `${invitation.email} is a member of ${invitation.slug}, or is suspended there.`,
        {
          remedy: 'Sign in; what a member may do is changed by an admin.',
        },
      )
    await client.query('update sync.invitations set accepted_at = now() where id = $1', [invitation.id])
    return { email: invitation.email, organization: invitation.slug }
  })
}

async function openInvitation(
  db: Pick<pg.Pool | pg.PoolClient, 'query'>,
  hash: Buffer,
  clock: Clock,
): Promise<InvitationRow> {
  const { rows } = await db.query<InvitationRow>(invitationSql, [hash])
  const [invitation] = rows
  if (!invitation || invitation.ended)
    throw new TideError('token_invalid', 'The invitation is unknown, was withdrawn or was accepted before.', {
      remedy: 'Ask for another one, or sign in.',
    })
  if (!invitation.vouched)
    throw new TideError('token_invalid', 'Whoever sent the invitation may no longer invite into this role.', {
      remedy: 'Ask an admin of the organization for another one.',
    })
  if (invitation.expires_at.getTime() <= clock.now())
    throw new TideError('token_expired', `The invitation ended at ${invitation.expires_at.toISOString()}.`, {
      remedy: 'Ask for another one.',
    })
  return invitation
}
