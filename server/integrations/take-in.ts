import type { PoolClient } from 'pg'
import type { Json } from '../../protocol/rows/row.ts'
import { followIssue } from './follow-issue.ts'
import { branchOf, commitOf, issueChangeOf, type BranchChange, type IssueChange, type JsonObject } from './payload.ts'

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
  const branch = branchOf(event.provider, event)
  if (branch) await trackBranch(client, event, branch)
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

/** Repositories that the organization has under this name; of an integration of a project those of that project. */
const trackBranchSql = `
with tracked as (
  update repositories set external_id = coalesce($4, external_id), last_synced_at = date_trunc('milliseconds', now())
  where organization_id = $1 and owner || '/' || name = $2 and provider = $3 and deleted_at is null and (project_id = $5 or $5 is null)
  returning id, organization_id
)
insert into repository_branches as b (organization_id, repository_id, name, head_sha, is_default, status, last_commit_at, last_commit_author)
select organization_id, id, $6, $7, $8, $9, $10::timestamptz, $11 from tracked
on conflict (repository_id, name) do update set head_sha = coalesce(excluded.head_sha, b.head_sha), is_default = excluded.is_default, status = excluded.status,
  last_commit_at = coalesce(excluded.last_commit_at, b.last_commit_at), last_commit_author = coalesce(excluded.last_commit_author, b.last_commit_author)`

async function trackBranch(client: PoolClient, event: StoredEvent, branch: BranchChange): Promise<void> {
  await client.query(trackBranchSql, [
    event.organization,
    branch.repository,
    event.provider,
    branch.externalId,
    event.project,
    branch.branch,
    branch.sha,
    branch.isDefault,
    branch.status,
    branch.committedAt,
    branch.author,
  ])
}

async function updateTasks(client: PoolClient, event: StoredEvent, issue: IssueChange): Promise<void> {
  const { rows } = await client.query<{ id: string }>(
    `select id from external_links where integration_id = $1 and external_type = 'issue' and external_id = any($2) and local_type = 'task'
       and deleted_at is null and sync_direction in ('pull', 'both') order by id`,
    [event.integration, issue.externalIds],
  )
  for (const { id } of rows) await followIssue(client, id, issue)
}
