import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import type { Random } from '../../lib/random.ts'
import { retryPolicySchema } from '../../protocol/agents/retry-policy.ts'
import { TideError } from '../../protocol/error.ts'
import type { Json } from '../../protocol/rows/row.ts'
import type { Credentials } from '../credentials/credentials.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'
import { post } from './post.ts'
import { standardSignature } from './signatures.ts'

export interface DispatchDeps {
  readonly pool: pg.Pool
  readonly credentials: Credentials
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly allowPrivate: boolean
  readonly timeoutMs: number
  /** Told of each delivery: `delivered` or `failed`. */
  readonly count: (result: 'delivered' | 'failed') => void
}

interface DueRow {
  readonly id: string
  readonly organization: string
  readonly name: string
  readonly cursor: number
  readonly failures: number
  readonly policy: unknown
  readonly integration: string
  readonly project: string | null
  readonly projects: readonly string[]
  readonly webhook: string | null
  readonly url: string | null
  readonly secret: string | null
  readonly types: readonly string[] | null
  readonly replay: string | null
  readonly replayCursor: number
}

interface OneEvent {
  readonly id: string
  readonly seq: number
  readonly type: string
  readonly [key: string]: Json
}

interface Page {
  readonly through: number
  readonly events: readonly OneEvent[]
}

const subscriptionsAtOnce = 8
const eventsAtOnce = 50

/**
 * Leases subscriptions of webhooks that have something to deliver. An integration of a project gets the events of that;
 * one of the organization those of projects that everybody in it sees.
 */
const claimSql = `
with due as (
  select s.id from event_subscriptions s left join sync.event_dispatch d on d.subscription_id = s.id
  where s.delivery = 'webhook' and s.status = 'active' and s.integration_id is not null and coalesce(d.due_at <= now(), true) and (
    exists (select from events e where e.organization_id = s.organization_id and e.seq > s.cursor_seq)
    or exists (select from event_replays r where r.subscription_id = s.id and r.status in ('pending', 'running') and not r.dry_run)
  )
  order by coalesce(d.due_at, '-infinity'), s.id limit ${subscriptionsAtOnce}
), claimed as (
  insert into sync.event_dispatch as d (subscription_id, due_at) select id, now() + $1 * interval '1 millisecond' from due
  on conflict (subscription_id) do update set due_at = excluded.due_at where d.due_at <= now()
  returning subscription_id
)
select s.id, s.organization_id as organization, s.name, s.cursor_seq::float8 as cursor, s.failure_count as failures, s.retry_policy as policy,
  i.id as integration, i.project_id as project, w.id as webhook, w.url, w.secret_credential_id as secret, w.event_types as types,
  array(select p.id::text from projects p where p.organization_id = s.organization_id and p.deleted_at is null
    and case when i.project_id is null then p.visibility = 'organization' else p.id = i.project_id end) as projects,
  r.id as replay, coalesce(r.last_seq, r.from_seq - 1, 0)::float8 as "replayCursor"
from claimed c join event_subscriptions s on s.id = c.subscription_id join integrations i on i.id = s.integration_id
left join webhooks w on w.id = s.webhook_id and w.integration_id = i.id and w.direction = 'outbound' and w.is_active and w.deleted_at is null
  and i.deleted_at is null and i.status in ('active', 'error')
left join lateral (
  select * from event_replays r where r.subscription_id = s.id and r.status in ('pending', 'running') and not r.dry_run order by r.created_at limit 1
) r on true`

/**
 * Delivers what waits for webhooks: each subscription in order, several side by side. Returns whether there was any.
 */
export async function dispatch(deps: DispatchDeps): Promise<boolean> {
  const { rows } = await deps.pool.query<DueRow>({ name: 'dispatch_claim', text: claimSql, values: [leaseMs(deps)] })
  await Promise.all(rows.map((row) => serve(deps, row)))
  return rows.length > 0
}

/** Renewed before each request, so that what a server leaves behind when it dies is soon another's. */
function leaseMs({ timeoutMs }: DispatchDeps): number {
  return 3 * timeoutMs
}

async function serve(deps: DispatchDeps, row: DueRow): Promise<void> {
  try {
    const secret = await readSecret(deps, row)
    await deliver(deps, row, secret, undefined)
    if (row.replay !== null) await deliver(deps, row, secret, row.replay)
    await keepAway(deps, row.id, 0)
  } catch (error) {
    await fail(deps, row, errorText(error))
  }
}

async function readSecret({ credentials }: DispatchDeps, row: DueRow): Promise<string> {
  if (row.webhook === null || row.url === null)
    throw new TideError('not_found', 'The subscription has no outbound webhook that is active.')
  if (row.secret === null) throw new TideError('not_found', 'The outbound webhook has no secret to sign with.')
  return (await credentials.readById(row.organization, row.secret)).secret
}

/** One page; whatever is left comes at the next turn. Throws at the first event that is not taken. */
async function deliver(deps: DispatchDeps, row: DueRow, secret: string, replay: string | undefined): Promise<void> {
  const { pool } = deps
  const from = replay === undefined ? row.cursor : row.replayCursor
  const { rows } = await pool.query<{ page: Page }>('select sync.read_events($1, $2, $3, $4::uuid[], $5) as page', [
    row.id,
    from,
    eventsAtOnce,
    row.projects,
    replay ?? null,
  ])
  const page = rows[0]?.page ?? { through: from, events: [] }
  for (const event of page.events) {
    const wanted = row.types === null || row.types.length === 0 || row.types.includes(event.type)
    if (wanted) await keepAway(deps, row.id, leaseMs(deps))
    if (wanted) await send(deps, row, secret, event, replay)
    await move(deps, row, event.seq, replay, wanted ? event : undefined)
  }
  if (page.through > (page.events.at(-1)?.seq ?? from)) await move(deps, row, page.through, replay, undefined)
  if (replay !== undefined && page.events.length < eventsAtOnce && page.through === from)
    await pool.query(
      `update event_replays set status = 'completed', started_at = coalesce(started_at, now()), finished_at = now() where id = $1`,
      [replay],
    )
}

async function send(
  deps: DispatchDeps,
  row: DueRow,
  secret: string,
  event: OneEvent,
  replay: string | undefined,
): Promise<void> {
  const { clock, pool, allowPrivate, timeoutMs } = deps
  const startedAt = clock.now()
  // A receiver tells a repeat by it; a replay is none.
  const id = replay === undefined ? event.id : `${replay}.${event.id}`
  const seconds = String(Math.floor(startedAt / 1000))
  const body = Buffer.from(JSON.stringify({ type: event.type, subscription: { id: row.id, name: row.name }, event }))
  let status: number | null = null
  let wrong: string | null = null
  try {
    const answer = await post({
      url: row.url ?? '',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'tidewire',
        'webhook-id': id,
        'webhook-timestamp': seconds,
        'webhook-signature': standardSignature(secret, id, seconds, body),
      },
      body,
      allowPrivate,
      timeoutMs,
    })
    status = answer.status
    if (status < 200 || status >= 300) wrong = `The webhook answered ${status}.`
  } catch (error) {
    wrong = errorText(error)
  }
  deps.count(wrong === null ? 'delivered' : 'failed')
  await pool.query(
    `insert into integration_events (id, occurred_at, organization_id, integration_id, webhook_id, project_id, direction, provider, event_type, external_id,
       payload, status, attempts, processed_at, http_status, error_message, latency_ms)
     select $1, $2, $3, $4, $5, $6, 'outbound', i.provider, $7, $8, $9, $10, 1, now(), $11, $12, $13 from integrations i where i.id = $4`,
    [
      createUuidSource(clock, deps.random)(),
      new Date(startedAt),
      row.organization,
      row.integration,
      row.webhook,
      row.project,
      event.type,
      id,
      JSON.stringify({ eventId: event.id, seq: event.seq, subscriptionId: row.id }),
      wrong === null ? 'processed' : 'failed',
      status,
      wrong?.slice(0, 2000) ?? null,
      Math.round(clock.now() - startedAt),
    ],
  )
  // Synced, so it is written when it says something new.
  await pool.query(
    `update webhooks set last_status = $2, last_delivery_at = date_trunc('milliseconds', now()), failure_count = case when $3 then failure_count + 1 else 0 end
     where id = $1 and (last_status is distinct from $2 or $3 or failure_count > 0)`,
    [row.webhook, status, wrong !== null],
  )
  if (wrong !== null) throw new Error(wrong)
}

async function move(
  { pool }: DispatchDeps,
  row: DueRow,
  to: number,
  replay: string | undefined,
  delivered: OneEvent | undefined,
): Promise<void> {
  if (replay === undefined) {
    await pool.query(
      `update event_subscriptions set cursor_seq = greatest(cursor_seq, $2), last_delivered_at = case when $3 then date_trunc('milliseconds', now()) else last_delivered_at end,
         failure_count = case when $3 then 0 else failure_count end, last_error = case when $3 then null else last_error end where id = $1`,
      [row.id, to, delivered !== undefined],
    )
    if (delivered)
      await pool.query(`select sync.note_deliveries($1, $2, 'delivered')`, [
        row.organization,
        JSON.stringify([delivered]),
      ])
  } else {
    await pool.query(
      `update event_replays set last_seq = $2, status = 'running', started_at = coalesce(started_at, now()), events_replayed = events_replayed + $3 where id = $1`,
      [replay, to, delivered ? 1 : 0],
    )
  }
}

async function fail(deps: DispatchDeps, row: DueRow, message: string): Promise<void> {
  const { maxAttempts, ...policy } = retryPolicySchema.catch(retryPolicySchema.parse({})).parse(row.policy)
  const { rows } = await deps.pool.query<{ failures: number; status: string }>(
    `update event_subscriptions set failure_count = failure_count + 1, last_error = $2, status = case when failure_count + 1 >= $3 then 'failed' else status end
     where id = $1 returning failure_count as failures, status`,
    [row.id, message.slice(0, 2000), maxAttempts],
  )
  const [now] = rows
  if (now?.status === 'failed')
    deps.log.error('A webhook is delivered to no more', {
      subscription: row.id,
      webhook: row.webhook,
      failures: now.failures,
    })
  const { rows: pauses } = await deps.pool.query<{ ms: number }>(
    `select extract(epoch from sync.retry_delay($1::jsonb, $2))::float8 * 1000 as ms`,
    [JSON.stringify(policy), now?.failures ?? 1],
  )
  await keepAway(deps, row.id, Math.round(pauses[0]?.ms ?? 0))
}

/** Nobody looks at the subscription for this long. */
async function keepAway({ pool }: DispatchDeps, id: string, ms: number): Promise<void> {
  await pool.query(
    `update sync.event_dispatch set due_at = now() + $2 * interval '1 millisecond' where subscription_id = $1`,
    [id, ms],
  )
}
