import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { makeAccessToken } from '../auth/access-token.ts'
import { checkScopes, mostScopes } from '../scope/token-scopes.ts'
import { actingAs } from './acting-as.ts'
import { defineAction } from './action.ts'
import { holderOf } from './holder-of.ts'
import { isoTime } from './iso-time.ts'

/**
 * Makes an access token: `{ tokenId, token, expiresAt }`. It is the caller's, or that of an agent which the caller may
 * act as: nobody makes a token of another person. The token is in this answer and nowhere else, so a repeat of the call
 * is answered without it.
 */
export const issueToken = defineAction({
  name: 'tokens.issue',
  input: z.strictObject({
    name: z.string().min(1).max(120),
    /** Whose it is; the caller's when absent. */
    agentId: z.uuid().optional(),
    /** None: all that its user or agent may do. */
    scopes: z.array(z.string().max(120)).max(mostScopes).default([]),
    expiresInHours: z
      .number()
      .int()
      .min(1)
      .max(24 * 3650)
      .default(24 * 90),
  }),
  withheld: ['token'],
  async run(context, { name, agentId, scopes, expiresInHours }) {
    checkScopes(scopes, context.actions)
    const { principal } = context
    if (agentId !== undefined) await actingAs(context, agentId)
    const person = agentId === undefined && principal.kind === 'user' ? principal.id : null
    const agent = agentId ?? (principal.kind === 'agent' ? principal.id : null)
    const { token, prefix, hash } = makeAccessToken(context.random)
    const [made] = await context.query<{ readonly id: string | null; readonly until: string }>({
      name: 'action_issue_token',
      text: `
        select sync.issue_token($1, $2, $3, $4, $5, $6, e.until) as id, ${isoTime('e.until')} as until
        from (select date_trunc('milliseconds', now() + make_interval(hours => $7)) as until) e`,
      values: [person, agent, name, hash, prefix, scopes, expiresInHours],
    })
    if (!made?.id)
      throw new TideError('limit_reached', `The ${agent === null ? 'user' : 'agent'} has 100 access tokens already.`, {
        remedy: 'Revoke one that is not needed any more: tokens.list says when each was last used.',
      })
    return { tokenId: made.id, token, expiresAt: made.until }
  },
})

/**
 * The access tokens that are good, newest first, at most 1000: `{ tokens }`. For admins those of the organization, for
 * others their own and those of their agents.
 */
export const listTokens = defineAction({
  name: 'tokens.list',
  readOnly: true,
  input: z.strictObject({}),
  async run(context) {
    const [answer] = await context.query<{ readonly tokens: Json }>({
      name: 'action_list_tokens',
      text: `
        select coalesce(jsonb_agg(jsonb_build_object(
          'tokenId', id, 'userId', user_id, 'agentId', agent_id, 'name', name, 'prefix', token_prefix, 'scopes', to_jsonb(scopes),
          'expiresAt', ${isoTime('expires_at')}, 'lastUsedAt', ${isoTime('last_used_at')}, 'createdAt', ${isoTime('created_at')}
        ) order by created_at desc, id desc), '[]') as tokens
        from (select * from sync.access_tokens_of($1) order by created_at desc, id desc limit 1000) newest`,
      values: [holderOf(context)],
    })
    return { tokens: answer?.tokens ?? [] }
  },
})

/** Ends an access token of `tokens.list`, and the connections that use it: `{}`. */
export const revokeToken = defineAction({
  name: 'tokens.revoke',
  input: z.strictObject({ tokenId: z.uuid() }),
  async run(context, { tokenId }) {
    const [answer] = await context.query<{ readonly revoked: boolean }>({
      name: 'action_revoke_token',
      text: 'select sync.revoke_token($1, $2) as revoked',
      values: [tokenId, holderOf(context)],
    })
    if (answer?.revoked !== true)
      throw new TideError('not_found', `There is no access token ${tokenId} that is good and that the caller may end.`)
    return {}
  },
})
