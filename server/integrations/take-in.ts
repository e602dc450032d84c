import type { PoolClient } from 'pg'
import type { Json } from '../../protocol/rows/row.ts'
import { followIssue } from './follow-issue.ts'
import {
  branchOf,
  branchRuleOf,
  commitOf,
  issueChangeOf,
  taskHintOf,
  type BranchChange,
  type BranchRule,
  type IssueChange,
  type JsonObject,
} from './payload.ts'

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

/**
 * In the given transaction: publishes an event, brings a linked task up to date, and starts pipelines. Returns whether
 * anything but the event came of it.
 */
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
  const rule = branchRuleOf(event.provider, event)
  if (rule) await keepRule(client, event, rule)
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

const ownRepositories = `
  organization_id = $1 and owner || '/' || name = $2 and provider = $3 and deleted_at is null and (project_id = $4 or $4 is null)`

const isProtected = `exists (select from sync.branch_rules g where g.repository_id = b.repository_id and b.name ~ g.matches)`

/**
 * Repositories that the organization has under this name; of an integration of a project those of that project. A
 * branch is for the task that its name says: by its id, or by an issue that is linked to it.
 */
const trackBranchSql = `
with tracked as (
  update repositories set external_id = coalesce($5, external_id), last_synced_at = date_trunc('milliseconds', now()),
    language_stats = case when $13::text is null then language_stats else language_stats || jsonb_build_object('primary', $13::text) end
  where ${ownRepositories}
  returning id, organization_id, project_id
), named as (
  select r.id as repository_id, coalesce(
    (select t.id from tasks t where t.id = $14::uuid and t.project_id = r.project_id and t.deleted_at is null),
    (
      select t.id from external_links l join tasks t on t.id = l.local_id and t.project_id = r.project_id and t.deleted_at is null
        join integrations i on i.id = l.integration_id
      where l.organization_id = $1 and l.local_type = 'task' and l.external_type = 'issue' and l.deleted_at is null
        and (i.provider = 'github' and l.integration_id = $15 and l.external_id = $16
          or i.provider = 'linear' and (upper(l.external_id) = $17 or upper(l.external_url) ~ ('/ISSUE/' || $17 || '(/|$)')))
      order by l.id limit 1
    )
  ) as task_id
  from tracked r
)
insert into repository_branches as b (
  organization_id, repository_id, name, head_sha, is_default, is_protected, status, last_commit_at, last_commit_author, ahead_by, task_id
)
select r.organization_id, r.id, $6, $7, $8, exists (select from sync.branch_rules g where g.repository_id = r.id and $6 ~ g.matches), $9,
  $10::timestamptz, $11, coalesce($12::integer, 0), n.task_id
from tracked r join named n on n.repository_id = r.id
on conflict (repository_id, name) do update set head_sha = coalesce(excluded.head_sha, b.head_sha), is_default = excluded.is_default, status = excluded.status,
  last_commit_at = coalesce(excluded.last_commit_at, b.last_commit_at), last_commit_author = coalesce(excluded.last_commit_author, b.last_commit_author),
  is_protected = excluded.is_protected, ahead_by = coalesce($12::integer, b.ahead_by), task_id = coalesce(excluded.task_id, b.task_id)`

async function trackBranch(client: PoolClient, event: StoredEvent, branch: BranchChange): Promise<void> {
  const hint = taskHintOf(branch.branch)
  await client.query(trackBranchSql, [
    event.organization,
    branch.repository,
    event.provider,
    event.project,
    branch.externalId,
    branch.branch,
    branch.sha,
    branch.isDefault,
    branch.status,
    branch.committedAt,
    branch.author,
    branch.aheadBy,
    branch.language,
    hint.id,
    event.integration,
    hint.number,
    hint.key,
  ])
}

/** Keeps a rule, or forgets it; branches that are known, and those that come, are protected by it. */
async function keepRule(client: PoolClient, event: StoredEvent, rule: BranchRule): Promise<void> {
  const named = [event.organization, rule.repository, event.provider, event.project]
  await client.query(
    rule.matches === null
      ? `delete from sync.branch_rules where external_id = $5 and repository_id in (select id from repositories where ${ownRepositories})`
      : `insert into sync.branch_rules (repository_id, external_id, matches) select id, $5, $6 from repositories where ${ownRepositories}
         on conflict (repository_id, external_id) do update set matches = excluded.matches`,
    rule.matches === null ? [...named, rule.externalId] : [...named, rule.externalId, rule.matches],
  )
  await client.query(
    `update repository_branches b set is_protected = ${isProtected}
     where b.repository_id in (select id from repositories where ${ownRepositories}) and b.is_protected <> ${isProtected}`,
    named,
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
