import type { PoolClient } from 'pg'
import type { Json } from '../../protocol/rows/row.ts'
import { commitOf, issueChangeOf, type IssueChange, type JsonObject } from './payload.ts'

/** A stored webhook. */
export interface StoredEvent {
  readonly id: string
  readonly organization: string
  readonly integration: string
  readonly project: string | null
  readonly provider: string
  readonly eventType: string
  readonly externalId: string | null
  readonly payload: JsonObject
}

/** Characters of a payload that travel with the event; a larger one is looked up by its id. */
const payloadLength = 64_000

/** In the given transaction: publishes an event, brings a linked task up to date, and starts pipelines. Returns whether anything but the event came of it. */
export async function takeIn(client: PoolClient, event: StoredEvent): Promise<void> {
  // What is written here does not go back to where it came from.
  await client.query(`select set_config('app.integration_id', $1, true)`, [event.integration])
  const length = JSON.stringify(event.payload).length
  const data: Json = {
    integrationEventId: event.id,
    externalId: event.externalId,
    payload: length > payloadLength ? null : event.payload,
  }
  await client.query(`select sync.publish_event($1, $2, $3, $4, 'integration', $5, $6)`, [
    event.organization,
    event.provider,
    `${event.provider}.${event.eventType}`.slice(0, 160),
    event.project,
    event.integration,
    JSON.stringify(data),
  ])
  const issue = issueChangeOf(event.provider, event)
  if (issue) await updateTask(client, event, issue)
  const commit = commitOf(event.provider, event)
  if (commit)
    await client.query(
      `select sync.start_pipeline(p.id, $3, $4, $5, $6) from pipelines p join repositories r on r.id = p.repository_id
       where r.organization_id = $1 and r.owner || '/' || r.name = $2 and r.provider = $7 and r.deleted_at is null
         and p.trigger_kind = $3 and p.is_active and p.deleted_at is null
         and (p.project_id = $8 or $8 is null)
         and (jsonb_typeof(p.trigger_config->'branches') is distinct from 'array' or p.trigger_config->'branches' ? $4)
       order by p.id`,
      [
        event.organization,
        commit.repository,
        commit.trigger,
        commit.branch,
        commit.sha,
        JSON.stringify({ integrationEventId: event.id }),
        event.provider,
        event.project,
      ],
    )
}

/** News that is older than what the link has seen changes nothing. */
async function updateTask(client: PoolClient, event: StoredEvent, issue: IssueChange): Promise<void> {
  const { rows } = await client.query<{ id: string; task: string }>(
    `update external_links set last_external_at = coalesce($3::timestamptz, now()), external_url = coalesce($4, external_url),
       state = state || jsonb_build_object('state', $5::text)
     where integration_id = $1 and external_type = 'issue' and external_id = any($2) and local_type = 'task' and deleted_at is null
       and sync_direction in ('pull', 'both') and (last_external_at is null or $3::timestamptz is null or last_external_at <= $3::timestamptz)
     returning id, local_id as task`,
    [event.integration, issue.externalIds, issue.updatedAt, issue.url, issue.state],
  )
  for (const { id, task } of rows) {
    const updated = await client.query<{ version: number }>(
      `update tasks set title = $2, description = coalesce($3, description),
         status = case when $4 = 'open' then case when status in ('completed', 'cancelled') then 'pending' else status end
           when status in ('completed', 'cancelled') then status else $4 end
       where id = $1 and organization_id = $5 and deleted_at is null returning version`,
      [task, issue.title, issue.description, issue.state, event.organization],
    )
    await client.query('update external_links set last_local_version = $2 where id = $1', [
      id,
      updated.rows[0]?.version ?? null,
    ])
  }
}
