import { createHash } from 'node:crypto'
import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { roles, type Role } from '../../protocol/rows/table.ts'
import { defineAction, type ActionContext } from './action.ts'
import { isoTime } from './iso-time.ts'

/**
 * Invites somebody into the organization: `{ invitationId, token, expiresAt }`. The token is for whoever sends the
 * mail; it is in this answer and nowhere else, so a repeat of the call is answered without it. An earlier invitation of
 * the address ends.
 */
export const inviteMember = defineAction({
  name: 'members.invite',
  input: z.strictObject({
    email: z.email().max(320),
    role: z.enum(['owner', 'admin', 'member', 'viewer']).default('member'),
    expiresInHours: z
      .number()
      .int()
      .min(1)
      .max(24 * 30)
      .default(24 * 7),
  }),
  withheld: ['token'],
  async run(context, { email, role, expiresInHours }) {
    checkMayInvite(context, role)
    const token = `twi_${Buffer.from(context.random.bytes(32)).toString('base64url')}`
    const [made] = await context.query<{ readonly id: string | null; readonly until: string }>({
      name: 'action_invite',
      text: `
        select sync.invite($1, $2, $3, e.until) as id, ${isoTime('e.until')} as until
        from (select date_trunc('milliseconds', now() + make_interval(hours => $4)) as until) e`,
      values: [email.toLowerCase(), role, createHash('sha256').update(token).digest(), expiresInHours],
    })
    if (!made?.id) throw new TideError('unique_violated', `${email} is a member of this organization already.`)
    return { invitationId: made.id, token, expiresAt: made.until }
  },
})

/** Ends an invitation that was not accepted: `{}`. */
export const withdrawInvitation = defineAction({
  name: 'members.withdraw',
  input: z.strictObject({ invitationId: z.uuid() }),
  async run(context, { invitationId }) {
    checkMayInvite(context, 'viewer')
    const [answer] = await context.query<{ readonly withdrawn: boolean }>({
      name: 'action_withdraw_invitation',
      text: 'select sync.withdraw_invitation($1) as withdrawn',
      values: [invitationId],
    })
    if (answer?.withdrawn !== true)
      throw new TideError('not_found', `There is no open invitation ${invitationId} in this organization.`)
    return {}
  },
})

/** The invitations that somebody could still accept, newest first: `{ invitations }`. For admins. */
export const listInvitations = defineAction({
  name: 'members.invitations',
  readOnly: true,
  input: z.strictObject({}),
  async run(context) {
    checkMayInvite(context, 'viewer')
    const [answer] = await context.query<{ readonly invitations: Json }>({
      name: 'action_open_invitations',
      text: `
        select coalesce(jsonb_agg(jsonb_build_object(
          'invitationId', id, 'email', email, 'role', role, 'invitedByUserId', invited_by_user_id,
          'expiresAt', ${isoTime('expires_at')},
          'createdAt', ${isoTime('created_at')}
        ) order by created_at desc, id), '[]') as invitations from sync.open_invitations()`,
    })
    return { invitations: answer?.invitations ?? [] }
  },
})

/** Admins invite, and nobody into a higher role than their own. */
function checkMayInvite({ principal, access }: ActionContext, role: Role): void {
  const held = access.channels.get(`organization/${principal.organizationId}`)
  const rank = (of: string | undefined): number => roles.findIndex((known) => known === of)
  if (principal.kind === 'user' && rank(held) >= rank('admin') && rank(held) >= rank(role)) return
  throw new TideError(
    'forbidden',
    `The ${principal.kind} ${principal.id} may not invite as ${role}: that needs an admin, or an owner for owners.`,
  )
}
