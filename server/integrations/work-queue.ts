import { backoffDelay } from '../../lib/backoff.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'
import { inOneTransaction } from '../db/db.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'
import { pushIssue, type IssuePushDeps } from './issue-push.ts'
import { takeIn, type StoredEvent } from './take-in.ts'

export interface WorkQueueDeps extends IssuePushDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Tries before an event is given up. */
  readonly maxAttempts: number
}

interface QueueRow extends StoredEvent {
  readonly queueId: string
  readonly at: Date
  readonly direction: 'inbound' | 'outbound'
  readonly attempts: number
}

const backoff = { minMs: 2000, maxMs: 10 * 60_000 }
/** Longer than a request may take: then nobody else has begun it. */
const leaseMs = 60_000

/**
 * The oldest of each integration and direction, when its time has come; what is behind it waits, so that events are
 * dealt with in the order in which they came. It is leased, so that nothing is locked while a platform is asked.
 */
const claimSql = `
with head as (
  select q.id from sync.integration_queue q
  where q.due_at <= now() and not exists (
    select from sync.integration_queue before
    where before.integration_id = q.integration_id and before.direction = q.direction and before.id < q.id
  )
  order by q.id limit 1 for update of q skip locked
), claimed as (
  update sync.integration_queue q set due_at = now() + $1 * interval '1 millisecond', attempts = q.attempts + 1 from head where q.id = head.id returning q.*
)
select c.id as "queueId", c.attempts, c.direction, c.event_at as at, c.event_id as id, c.integration_id as integration, e.organization_id as organization,
  e.project_id as project, e.provider, e.event_type as "eventType", e.external_id as "externalId", e.payload
from claimed c left join integration_events e on e.id = c.event_id and e.occurred_at = c.event_at`

/** The platform answers: what was given up before it did is queued again, but for what it had refused. */
const answersSql = `
with answers as (
  update integrations set error_count = 0, last_error = null, status = case status when 'error' then 'active' else status end
  where id = $1 and error_count > 0 returning id
)
select sync.queue_issues_behind(id, false) from answers`

/** Deals with one event that waits. Returns false when none is due. */
export async function workOne(deps: WorkQueueDeps): Promise<boolean> {
  const { rows } = await deps.pool.query<QueueRow>({ name: 'integration_claim', text: claimSql, values: [leaseMs] })
  const [row] = rows
  if (!row) return false
  const startedAt = deps.clock.now()
  try {
    // A row that retention has taken has nothing left to say.
    if (!row.provider) await deps.pool.query('delete from sync.integration_queue where id = $1', [row.queueId])
    else if (row.direction === 'inbound') await inbound(deps, row)
    else await outbound(deps, row, startedAt)
  } catch (error) {
    // What we refuse ourselves (an issue without a number, a credential that is gone) waits for somebody to mend it.
    // A token that has ended may be renewed meanwhile.
    const refused = error instanceof TideError && error.code !== 'credential_expired'
    await failed(deps, row, errorText(error), null, refused)
  }
  return true
}

/** All or nothing: what an event leads to, and that it was dealt with. */
async function inbound({ pool }: WorkQueueDeps, row: QueueRow): Promise<void> {
  await inOneTransaction(pool, async (client) => {
    const { rowCount } = await client.query('delete from sync.integration_queue where id = $1 and attempts = $2', [
      row.queueId,
      row.attempts,
    ])
    // Somebody else took it when this one was too slow.
    if (rowCount === 1) {
      await takeIn(client, row)
      await client.query(
        `update integration_events set status = 'processed', attempts = $3, processed_at = now(), error_message = null where id = $1 and occurred_at = $2`,
        [row.id, row.at, row.attempts],
      )
      await client.query(answersSql, [row.integration])
    }
  })
}

async function outbound(deps: WorkQueueDeps, row: QueueRow, startedAt: number): Promise<void> {
  const link = row.payload['linkId']
  const status = await pushIssue(deps, typeof link === 'string' ? link : '')
  if (status !== undefined && (status < 200 || status >= 300)) {
    await failed(deps, row, `The platform answered ${status}.`, status, refusals.includes(status))
    return
  }
  await deps.pool.query(
    `with done as (delete from sync.integration_queue where id = $1 returning link_id),
       pushed as (delete from sync.issues_behind b using done d where b.link_id = d.link_id)
     update integration_events set status = $2, attempts = $3, processed_at = now(), http_status = $4, latency_ms = $5, error_message = null where id = $6 and occurred_at = $7`,
    [
      row.queueId,
      status === undefined ? 'ignored' : 'processed',
      row.attempts,
      status ?? null,
      Math.round(deps.clock.now() - startedAt),
      row.id,
      row.at,
    ],
  )
  if (status !== undefined) await deps.pool.query(answersSql, [row.integration])
}

/** Asked again it would say the same, until somebody changes the link, the credential or the integration. */
const refusals: readonly number[] = [400, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422, 451]

async function failed(
  { pool, random, log, maxAttempts }: WorkQueueDeps,
  row: QueueRow,
  message: string,
  http: number | null,
  refused: boolean,
): Promise<void> {
  const dead = row.attempts >= maxAttempts
  if (dead && row.direction === 'outbound')
    await pool.query(
      `insert into sync.issues_behind (link_id, integration_id, refused)
       select l.id, l.integration_id, $2 from sync.integration_queue q join external_links l on l.id = q.link_id where q.id = $1
       on conflict (link_id) do update set refused = excluded.refused`,
      [row.queueId, refused],
    )
  await pool.query(
    dead
      ? 'delete from sync.integration_queue where id = $1'
      : `update sync.integration_queue set due_at = now() + ${Math.round(backoffDelay(backoff, row.attempts - 1, random))} * interval '1 millisecond' where id = $1`,
    [row.queueId],
  )
  await pool.query(
    `update integration_events set status = $3, attempts = $4, error_message = $5, http_status = $6 where id = $1 and occurred_at = $2`,
    [row.id, row.at, dead ? 'dead' : 'failed', row.attempts, message.slice(0, 2000), http],
  )
  await pool.query(
    `update integrations set error_count = error_count + 1, last_error = $2, status = case when $3 and status = 'active' then 'error' else status end where id = $1`,
    [row.integration, message.slice(0, 2000), dead],
  )
  if (dead)
    log.error('An integration event was given up', {
      event: row.id,
      integration: row.integration,
      attempts: row.attempts,
    })
}
