import { z } from 'zod'
import { eventFilterSchema } from '../../protocol/agents/event-filter.ts'
import { retryPolicySchema } from '../../protocol/agents/retry-policy.ts'
import { TideError } from '../../protocol/error.ts'
import { actingAs } from './acting-as.ts'
import { defineAction, type ActionContext } from './action.ts'
import { checkAdmin } from './check-admin.ts'

/** A subscription as the actions need it. */
export interface Subscription {
  readonly id: string
  readonly status: 'active' | 'paused' | 'failed'
  readonly cursor: number
  readonly failures: number
  readonly retryPolicy: unknown
}

interface SubscriberRow extends Subscription {
  readonly agent: string | null
  readonly user: string | null
  readonly device: string | null
}

/** Of one user, agent or integration: each is looked at every minute. */
const mostSubscriptions = 100

const pattern = z.string().min(1).max(160)

/**
 * Makes a durable subscription, or changes the one of this name: `{ subscriptionId, cursor }`. It belongs to the agent
 * that is named, to the integration of a webhook, or else to the caller. It begins `now`, or with the oldest event
 * there is.
 */
export const subscribeToEvents = defineAction({
  name: 'events.subscribe',
  input: z.strictObject({
    name: z.string().min(1).max(160),
    agentId: z.uuid().optional(),
    webhookId: z.uuid().optional(),
    source: pattern.default('*'),
    type: pattern.default('*'),
    filter: eventFilterSchema.default({}),
    retryPolicy: retryPolicySchema.partial().default({}),
    from: z.enum(['now', 'beginning']).default('now'),
  }),
  async run(context, { name, agentId, webhookId, source, type, filter, retryPolicy, from }) {
    const { principal, query } = context
    const [known] = await query<{ readonly id: string; readonly cursor: number }>({
      name: 'action_subscription_by_name',
      text: 'select id, cursor_seq::float8 as cursor from event_subscriptions where organization_id = $1 and name = $2',
      values: [principal.organizationId, name],
    })
    const settings = [source, type, JSON.stringify(filter), JSON.stringify(retryPolicy)]
    if (known) {
      await lockSubscription(context, known.id)
      await query({
        name: 'action_change_subscription',
        text: 'update event_subscriptions set source_pattern = $2, type_pattern = $3, filter = $4, retry_policy = $5 where id = $1',
        values: [known.id, ...settings],
      })
      return { subscriptionId: known.id, cursor: known.cursor }
    }
    const owner = await ownerOf(context, agentId, webhookId)
    await checkRoom(context, owner)
    const [made] = await query<{ readonly id: string; readonly cursor: number }>({
      name: 'action_subscribe',
      text: `insert into event_subscriptions (organization_id, name, source_pattern, type_pattern, filter, retry_policy, delivery, webhook_id,
          agent_id, user_id, integration_id, cursor_seq, origin_device_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
          case when $12 then coalesce((select max(seq) from events where organization_id = $1), 0) else 0 end, $13)
        on conflict (organization_id, name) do nothing returning id, cursor_seq::float8 as cursor`,
      values: [
        principal.organizationId,
        name,
        ...settings,
        webhookId === undefined ? 'pull' : 'webhook',
        webhookId ?? null,
        owner.agent ?? null,
        owner.user ?? null,
        owner.integration ?? null,
        from === 'now',
        principal.deviceId,
      ],
    })
    if (!made)
      throw new TideError('unique_violated', `Somebody else has made the subscription ${name} meanwhile.`, {
        remedy: 'Subscribe again to change it.',
      })
    return { subscriptionId: made.id, cursor: made.cursor }
  },
})

interface Owner {
  readonly agent?: string
  readonly user?: string
  readonly integration?: string
}

async function checkRoom({ principal, query }: ActionContext, { agent, user, integration }: Owner): Promise<void> {
  const [held] = await query<{ readonly count: number }>({
    name: 'action_count_subscriptions',
    text: `select count(*)::integer as count from event_subscriptions
      where organization_id = $1 and (agent_id = $2 or user_id = $3 or integration_id = $4)`,
    values: [principal.organizationId, agent ?? null, user ?? null, integration ?? null],
  })
  if ((held?.count ?? 0) < mostSubscriptions) return
  const who = agent === undefined ? (user === undefined ? 'integration' : 'user') : 'agent'
  throw new TideError('limit_reached', `The ${who} has ${mostSubscriptions} event subscriptions already.`, {
    remedy: 'Subscribe under the name of one that is there, which changes it.',
  })
}

/** Nothing is delivered until it is resumed; events wait. */
export const pauseSubscription = defineAction({
  name: 'events.pause',
  input: z.strictObject({ subscriptionId: z.uuid() }),
  async run(context, { subscriptionId }) {
    await lockSubscription(context, subscriptionId)
    await setStatus(context, subscriptionId, 'paused')
    return { status: 'paused' }
  },
})

/** Goes on where it stopped, also after it failed. */
export const resumeSubscription = defineAction({
  name: 'events.resume',
  input: z.strictObject({ subscriptionId: z.uuid() }),
  async run(context, { subscriptionId }) {
    await lockSubscription(context, subscriptionId)
    await setStatus(context, subscriptionId, 'active')
    return { status: 'active' }
  },
})

async function setStatus({ query }: ActionContext, id: string, status: string): Promise<void> {
  await query({
    name: 'action_subscription_status',
    text: `update event_subscriptions set status = $2, failure_count = 0, last_error = case when $2 = 'active' then null else last_error end where id = $1`,
    values: [id, status],
  })
}

async function ownerOf(
  context: ActionContext,
  agentId: string | undefined,
  webhookId: string | undefined,
): Promise<Owner> {
  const { principal, query } = context
  if (webhookId !== undefined) {
    checkAdmin(context, 'deliver events to a webhook')
    const [webhook] = await query<{ readonly integration: string }>({
      name: 'action_outbound_webhook',
      text: `select integration_id as integration from webhooks
        where id = $1 and organization_id = $2 and direction = 'outbound' and deleted_at is null`,
      values: [webhookId, principal.organizationId],
    })
    if (!webhook) throw new TideError('not_found', `There is no outbound webhook ${webhookId} in this organization.`)
    return { integration: webhook.integration }
  }
  if (agentId !== undefined) {
    await actingAs(context, agentId)
    return { agent: agentId }
  }
  return principal.kind === 'agent' ? { agent: principal.id } : { user: principal.id }
}

/**
 * Locks a subscription that the caller may use: its own, its agent's, or any as an admin. Throws `not_found`,
 * `forbidden`.
 */
export async function lockSubscription(context: ActionContext, id: string): Promise<Subscription> {
  const { principal, query } = context
  const [row] = await query<SubscriberRow>({
    name: 'action_lock_subscription',
    text: `select id, status, cursor_seq::float8 as cursor, failure_count as failures, retry_policy as "retryPolicy",
        agent_id as agent, user_id as user, device_id as device
      from event_subscriptions where id = $1 and organization_id = $2 for no key update`,
    values: [id, principal.organizationId],
  })
  if (!row) throw new TideError('not_found', `There is no event subscription ${id} in this organization.`)
  if (row.agent !== null) await actingAs(context, row.agent)
  else if (row.device !== principal.deviceId && !(principal.kind === 'user' && row.user === principal.id))
    checkAdmin(context, 'use the event subscription of somebody else')
  return row
}
