import { z } from 'zod'
import { eventFilterSchema } from '../../protocol/agents/event-filter.ts'
import { retryPolicySchema } from '../../protocol/agents/retry-policy.ts'
import { TideError } from '../../protocol/error.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { defineAction, type ActionContext } from './action.ts'
import { lockSubscription, type Subscription } from './event-subscriptions.ts'

const seq = z.number().int().min(0)
const most = 1000
/** What is counted of a replay: each page reads at most ten thousand events. */
const mostCounted = 10_000
const mostPagesCounted = 20

interface Page {
  readonly through: number
  readonly events: readonly { readonly seq: number; readonly [key: string]: Json }[]
}

interface Replay {
  readonly id: string
  readonly status: string
  readonly cursor: number
  readonly end: number
}

/**
 * The next events of a subscription, oldest first: `{ status, events, replays }`. They come again until a later read
 * acknowledges them, so each arrives at least once, and in order. `replays` are waiting: read them with `replayId`;
 * they do not move the cursor of the subscription.
 */
export const readEvents = defineAction({
  name: 'events.read',
  repeatable: true,
  input: z.strictObject({
    subscriptionId: z.uuid(),
    /** All up to this number were dealt with. At most the number of the newest event, and of a replay where it ends. */
    acknowledge: seq.optional(),
    replayId: z.uuid().optional(),
    limit: z.number().int().min(1).max(most).default(100),
  }),
  async run(context, { subscriptionId, acknowledge, replayId, limit }) {
    const subscription = await lockSubscription(context, subscriptionId)
    if (replayId !== undefined) return readReplay(context, subscription, { replayId, acknowledge, limit })
    const cursor = await acknowledged(context, subscription, acknowledge)
    const replays = await waitingReplays(context, subscriptionId)
    if (subscription.status !== 'active') return { status: subscription.status, events: [], replays }
    const page = await readPage(context, subscriptionId, cursor, limit)
    // What is between was for others.
    if (page.events.length === 0 && page.through > cursor) await moveCursor(context, subscriptionId, page.through)
    return { status: 'active', events: page.events, replays }
  },
})

/**
 * Says that an event could not be dealt with: `{ status, attempts }`. It comes again; after as many failures in a row
 * as the retry policy allows, the subscription is `failed` and keeps the error until it is resumed.
 */
export const failEvents = defineAction({
  name: 'events.fail',
  input: z.strictObject({ subscriptionId: z.uuid(), error: z.string().min(1).max(2000) }),
  async run(context, { subscriptionId, error }) {
    const subscription = await lockSubscription(context, subscriptionId)
    const attempts = subscription.failures + 1
    const { maxAttempts } = retryPolicySchema.catch(retryPolicySchema.parse({})).parse(subscription.retryPolicy)
    const status = attempts >= maxAttempts ? 'failed' : subscription.status
    await context.query({
      name: 'action_fail_events',
      text: 'update event_subscriptions set failure_count = $2, last_error = $3, status = $4 where id = $1',
      values: [subscriptionId, attempts, error, status],
    })
    const { events } = await readPage(context, subscriptionId, subscription.cursor, 1)
    await note(context, events, status === 'failed' ? 'failed' : 'retried')
    return { status, attempts }
  },
})

/**
 * Delivers past events again, from a number or time up to another or up to now, flagged: `{ replayId, events,
 * isComplete }`. A dry run only counts. Of many events only the first are counted, and `isComplete` is false.
 */
export const replayEvents = defineAction({
  name: 'events.replay',
  input: z
    .strictObject({
      subscriptionId: z.uuid(),
      fromSeq: seq.optional(),
      toSeq: seq.optional(),
      fromTime: z.iso.datetime({ offset: true }).optional(),
      toTime: z.iso.datetime({ offset: true }).optional(),
      filter: eventFilterSchema.default({}),
      reason: z.enum(['recovery', 'debugging', 'backfill']).default('recovery'),
      dryRun: z.boolean().default(false),
    })
    .refine(({ fromSeq, fromTime }) => fromSeq !== undefined || fromTime !== undefined, 'needs fromSeq or fromTime'),
  async run(context, { subscriptionId, fromSeq, toSeq, fromTime, toTime, filter, reason, dryRun }) {
    const { principal, query } = context
    await lockSubscription(context, subscriptionId)
    const [made] = await query<{ readonly id: string }>({
      name: 'action_replay',
      // It ends where events end now.
      text: `insert into event_replays (organization_id, subscription_id, requested_by_user_id, requested_by_agent_id, reason,
          from_seq, to_seq, from_time, to_time, filter, dry_run)
        values ($1, $2, $3, $4, $5, $6, least($7, coalesce((select max(seq) from events where organization_id = $1), 0)), $8, $9, $10, $11) returning id`,
      values: [
        principal.organizationId,
        subscriptionId,
        principal.kind === 'user' ? principal.id : null,
        principal.kind === 'agent' ? principal.id : null,
        reason,
        fromSeq ?? null,
        toSeq ?? null,
        fromTime ?? null,
        toTime ?? null,
        JSON.stringify(filter),
        dryRun,
      ],
    })
    const replayId = made?.id ?? ''
    const { events, isComplete } = await countReplay(context, subscriptionId, replayId, (fromSeq ?? 1) - 1)
    if (dryRun)
      await query({
        name: 'action_dry_replay',
        text: `update event_replays set status = 'completed', events_replayed = $2, started_at = now(), finished_at = now() where id = $1`,
        values: [replayId, events],
      })
    return { replayId, events, isComplete }
  },
})

async function countReplay(
  context: ActionContext,
  id: string,
  replayId: string,
  from: number,
): Promise<{ readonly events: number; readonly isComplete: boolean }> {
  let [count, after] = [0, from]
  for (let page = 0; page < mostPagesCounted && count < mostCounted; page++) {
    const { events, through } = await readPage(context, id, after, most, replayId)
    count += events.length
    if (through === after) return { events: count, isComplete: true }
    after = through
  }
  return { events: count, isComplete: false }
}

async function readReplay(
  context: ActionContext,
  subscription: Subscription,
  asked: { readonly replayId: string; readonly acknowledge: number | undefined; readonly limit: number },
): Promise<Json> {
  const { replayId, acknowledge, limit } = asked
  const [replay] = await context.query<Replay>({
    name: 'action_lock_replay',
    text: `select id, status, coalesce(last_seq, from_seq - 1, 0)::float8 as cursor, coalesce(to_seq, 0)::float8 as "end" from event_replays
      where id = $1 and subscription_id = $2 and not dry_run for no key update`,
    values: [replayId, subscription.id],
  })
  if (!replay) throw new TideError('not_found', `The subscription ${subscription.id} has no replay ${replayId}.`)
  let { cursor } = replay
  let done = 0
  if (acknowledge !== undefined && acknowledge > cursor) {
    checkAcknowledged(acknowledge, replay.end)
    const { events } = await readPage(context, subscription.id, cursor, most, replayId)
    done = events.filter((event) => event.seq <= acknowledge).length
    cursor = acknowledge
  }
  const page = await readPage(context, subscription.id, cursor, limit, replayId)
  if (page.events.length === 0) cursor = page.through
  const over =
    page.events.length === 0 && (await readPage(context, subscription.id, cursor, 1, replayId)).through === cursor
  await context.query({
    name: 'action_replayed',
    text: `update event_replays set last_seq = $2, events_replayed = events_replayed + $3, started_at = coalesce(started_at, now()),
        status = case when $4 then 'completed' else 'running' end, finished_at = case when $4 then coalesce(finished_at, now()) end
      where id = $1`,
    values: [replayId, cursor, done, over],
  })
  return { status: over ? 'completed' : 'running', events: page.events, replays: [] }
}

async function acknowledged(
  context: ActionContext,
  subscription: Subscription,
  upTo: number | undefined,
): Promise<number> {
  const { id, cursor, failures } = subscription
  if (upTo === undefined || upTo <= cursor) return cursor
  const [newest] = await context.query<{ readonly seq: number }>({
    name: 'action_newest_event',
    text: 'select coalesce(max(seq), 0)::float8 as seq from events where organization_id = $1',
    values: [context.principal.organizationId],
  })
  checkAcknowledged(upTo, newest?.seq ?? 0)
  const { events } = await readPage(context, id, cursor, most)
  await note(
    context,
    events.filter((event) => event.seq <= upTo),
    'delivered',
  )
  await moveCursor(context, id, upTo)
  if (failures > 0)
    await context.query({
      name: 'action_subscription_well',
      text: 'update event_subscriptions set failure_count = 0, last_error = null where id = $1',
      values: [id],
    })
  return upTo
}

/** A cursor beyond the newest event would pass over all that come until their numbers have got there. */
function checkAcknowledged(upTo: number, newest: number): void {
  if (upTo > newest)
    throw new TideError('invalid_value', `acknowledge: ${upTo} is above ${newest}, the number of the newest event.`, {
      remedy: 'Acknowledge the number of the last event that was read, or nothing.',
    })
}

async function moveCursor({ query }: ActionContext, id: string, to: number): Promise<void> {
  await query({
    name: 'action_event_cursor',
    text: `update event_subscriptions set cursor_seq = $2, last_delivered_at = date_trunc('milliseconds', clock_timestamp()) where id = $1`,
    values: [id, to],
  })
}

async function waitingReplays({ query }: ActionContext, id: string): Promise<readonly string[]> {
  const rows = await query<{ readonly id: string }>({
    name: 'action_waiting_replays',
    text: `select id from event_replays where subscription_id = $1 and status in ('pending', 'running') and not dry_run order by created_at limit 10`,
    values: [id],
  })
  return rows.map((row) => row.id)
}

async function readPage(
  { query, access }: ActionContext,
  id: string,
  after: number,
  limit: number,
  replayId?: string,
): Promise<Page> {
  const projects = [...access.channels.keys()].flatMap((channel) =>
    channel.startsWith('project/') ? [channel.slice('project/'.length)] : [],
  )
  const [row] = await query<{ readonly page: Page }>({
    name: 'action_read_events',
    text: 'select sync.read_events($1, $2, $3, $4::uuid[], $5) as page',
    values: [id, after, limit, projects, replayId ?? null],
  })
  return row?.page ?? { through: after, events: [] }
}

async function note({ query, principal }: ActionContext, events: Page['events'], outcome: string): Promise<void> {
  if (events.length === 0) return
  await query({
    name: 'action_note_deliveries',
    text: 'select sync.note_deliveries($1, $2, $3)',
    values: [principal.organizationId, JSON.stringify(events), outcome],
  })
}
