import type { PoolClient } from 'pg'
import { digestOf, mergeIssue, type IssueBase, type IssueFields, type TaskFields } from './issue-merge.ts'
import type { IssueChange } from './payload.ts'

/** A push that the platform has taken. */
export interface Told {
  /** The columns of the task that were sent, as they were then. */
  readonly task: Partial<TaskFields>
  /** The same in the terms of an issue. */
  readonly issue: Partial<IssueFields>
}

interface LinkRow extends TaskFields {
  readonly taskId: string
  readonly organization: string
  readonly project: string
  readonly provider: string
  readonly direction: 'pull' | 'push' | 'both'
  readonly externalId: string
  readonly version: number
  /** Whether the issue is older than what the link has seen; or of the same moment. */
  readonly stale: boolean
  readonly sameMoment: boolean
}

interface BaseRow extends IssueBase {
  readonly conflict: string | null
}

/** Locked in the order link, task: whoever changes a task locks that first, and never the link. */
const linkSql = `
with link as (
  select l.* from external_links l where l.id = $1 and l.deleted_at is null for no key update
)
select t.id as "taskId", t.organization_id as organization, t.project_id as project, i.provider, link.sync_direction as direction,
  link.external_id as "externalId", t.version, t.title, t.description, t.status,
  coalesce(link.last_external_at > $2::timestamptz, false) as stale, coalesce(link.last_external_at = date_trunc('milliseconds', $2::timestamptz), false) as "sameMoment"
from link join integrations i on i.id = link.integration_id
join tasks t on t.id = link.local_id and t.organization_id = link.organization_id and t.deleted_at is null
for no key update of t`

const baseSql = `
select local, remote, sending, past, case when exists (select from sync_conflicts c where c.id = b.conflict_id and c.status = 'open') then conflict_id end as conflict
from sync.issue_bases b where link_id = $1 and task_id = $2 for update`

/**
 * In the name of whoever made the task or the integration, for they may settle it; else of an owner of the
 * organization.
 */
const conflictSql = `
insert into sync_conflicts (organization_id, channel, user_id, agent_id, mutation_id, table_name, row_id, kind, server_version, fields, client_patch, note)
select t.organization_id, t.channel, p.user_id, p.agent_id, sync.uuid_v7(), 'tasks', t.id, 'field', t.version, $3::jsonb,
  (select jsonb_object_agg(key, value -> 'mine') from jsonb_each($3::jsonb)), $4
from tasks t join external_links l on l.id = $2 join integrations i on i.id = l.integration_id
cross join lateral (
  select user_id, agent_id from (values (1, t.created_by_user_id, t.created_by_agent_id), (2, i.created_by_user_id, i.created_by_agent_id),
    (3, (select user_id from organization_members m where m.organization_id = t.organization_id and m.role = 'owner' and m.deleted_at is null order by m.created_at limit 1), null)
  ) as of (n, user_id, agent_id) where num_nonnulls(user_id, agent_id) = 1 order by n limit 1
) p
where t.id = $1 returning id`

const widenConflictSql = `
update sync_conflicts set fields = fields || $2::jsonb, client_patch = client_patch || (select jsonb_object_agg(key, value -> 'mine') from jsonb_each($2::jsonb))
where id = $1`

const storeSql = `
insert into sync.issue_bases as b (link_id, organization_id, task_id, local, remote, sending, past, conflict_id) values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (link_id) do update set task_id = excluded.task_id, local = excluded.local, remote = excluded.remote, sending = excluded.sending, past = excluded.past,
  conflict_id = excluded.conflict_id`

const oweSql = `
select sync.queue_issue(l.id) from external_links l join integrations i on i.id = l.integration_id
where l.id = $1 and l.sync_direction in ('push', 'both') and i.status in ('active', 'error') and i.deleted_at is null and i.credential_id is not null`

/** Values that the platform was told, of which a webhook of the same moment may still speak. */
const pastKept = 12

/**
 * In the given transaction, which names its integration in `app.integration_id`: brings the task of a link up to date
 * with its issue, field by field against what both last agreed on. `told`: the issue is the answer to a push. Undefined
 * as issue: the platform did not say how it is. What both sides changed stays as the task has it (with `pull`: as the
 * issue has it), and the other value is kept in an open conflict.
 */
export async function followIssue(
  client: PoolClient,
  linkId: string,
  issue: IssueChange | undefined,
  told?: Told,
): Promise<void> {
  const { rows } = await client.query<LinkRow>(linkSql, [linkId, issue?.updatedAt ?? null])
  const [link] = rows
  if (!link) return
  // News that is older than what the link has seen changes nothing.
  if (link.stale && !told) return
  const { rows: bases } = await client.query<BaseRow>(baseSql, [linkId, link.taskId])
  const known = bases[0]
  const base = told ? afterPush(known, told, link.stale ? undefined : issue) : known
  const pulls = link.direction !== 'push' && issue !== undefined && !link.stale
  const merge = pulls
    ? mergeIssue({
        task: link,
        issue,
        base,
        winner: link.direction === 'pull' ? 'issue' : 'task',
        sameMoment: link.sameMoment,
      })
    : { set: {}, base: { local: base?.local ?? {}, remote: base?.remote ?? {} }, conflicts: {}, owed: false }
  const version = await writeTask(client, link, merge.set)
  const conflict = await keepConflict(client, linkId, link, merge.conflicts, known?.conflict ?? null)
  await client.query(storeSql, [
    linkId,
    link.organization,
    link.taskId,
    JSON.stringify(merge.base.local),
    JSON.stringify(merge.base.remote),
    base?.sending ? JSON.stringify(base.sending) : null,
    JSON.stringify(base?.past ?? []),
    conflict,
  ])
  await client.query(
    `update external_links set last_local_version = $2, external_url = coalesce($3, external_url),
       last_external_at = case when $4 then greatest(last_external_at, coalesce($5::timestamptz, case when $6 then last_external_at else now() end)) else last_external_at end,
       state = state || jsonb_strip_nulls(jsonb_build_object('state', $7::text))
     where id = $1`,
    [
      linkId,
      version,
      issue?.url ?? null,
      issue !== undefined,
      issue?.updatedAt ?? null,
      told !== undefined,
      link.stale ? null : (issue?.state ?? null),
    ],
  )
  if (merge.owed) await client.query(oweSql, [linkId])
}

/** The platform may have written what it was told in its own way. */
function afterPush(base: IssueBase | undefined, told: Told, answer: IssueFields | undefined): IssueBase {
  const fields = Object.keys(told.issue) as (keyof IssueFields)[]
  const as = (from: Partial<IssueFields>): Partial<IssueFields> =>
    Object.fromEntries(fields.filter((field) => field in from).map((field) => [field, from[field]]))
  const former = { ...base?.remote }
  return {
    local: { ...base?.local, ...told.task },
    remote: { ...former, ...as(told.issue), ...(answer ? as(answer) : {}) },
    sending: null,
    past: [
      ...(base?.past ?? []),
      ...fields.flatMap((field) =>
        [former, told.issue].filter((one) => field in one).map((one) => digestOf(field, one[field])),
      ),
    ].slice(-pastKept),
  }
}

async function writeTask(client: PoolClient, link: LinkRow, set: Partial<TaskFields>): Promise<number> {
  if (Object.keys(set).length === 0) return link.version
  const { title, description, status } = { ...link, ...set }
  const { rows } = await client.query<{ version: number }>(
    'update tasks set title = $2, description = $3, status = $4 where id = $1 returning version',
    [link.taskId, title, description, status],
  )
  return rows[0]?.version ?? link.version
}

/**
 * The values that lost, in the conflict of this link that is still open, or in another one; and an event that says so.
 */
async function keepConflict(
  client: PoolClient,
  linkId: string,
  link: LinkRow,
  conflicts: ReturnType<typeof mergeIssue>['conflicts'],
  open: string | null,
): Promise<string | null> {
  if (Object.keys(conflicts).length === 0) return open
  const { provider, organization, project, taskId, externalId } = link
  await client.query('select sync.publish_event($1, $2, $3, $4, $5, $6, $7)', [
    organization,
    provider,
    `${provider}.issue_conflict`,
    project,
    'task',
    taskId,
    JSON.stringify({ linkId, externalId, fields: conflicts }),
  ])
  if (open !== null) {
    await client.query(widenConflictSql, [open, JSON.stringify(conflicts)])
    return open
  }
  const { rows } = await client.query<{ id: string }>(conflictSql, [
    taskId,
    linkId,
    JSON.stringify(conflicts),
    `The task and its issue ${externalId} of ${provider} were both changed.`,
  ])
  return rows[0]?.id ?? null
}
