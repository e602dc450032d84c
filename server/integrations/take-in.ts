import type { PoolClient } from 'pg'
import type { Json } from '../../protocol/rows/row.ts'
import { followIssue } from './follow-issue.ts'
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
  if (issue) await updateTasks(client, event, issue)
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

async function updateTasks(client: PoolClient, event: StoredEvent, issue: IssueChange): Promise<void> {
  const { rows } = await client.query<{ id: string }>(
    `select id from external_links where integration_id = $1 and external_type = 'issue' and external_id = any($2) and local_type = 'task'
       and deleted_at is null and sync_direction in ('pull', 'both') order by id`,
    [event.integration, issue.externalIds],
  )
  for (const { id } of rows) await followIssue(client, id, issue)
}
