import type pg from 'pg'
import { TideError } from '../../protocol/error.ts'
import { inOneTransaction } from '../db/db.ts'
import type { Credentials } from '../credentials/credentials.ts'
import { followIssue, type Told } from './follow-issue.ts'
import { stateOf, unsentOf, type IssueBase, type IssueFields, type TaskFields } from './issue-merge.ts'
import { issueOfAnswer, type IssueChange } from './payload.ts'
import { post } from './post.ts'

interface LinkRow extends TaskFields {
  readonly integration: string
  readonly provider: string
  readonly organization: string
  readonly credential: string
  readonly owner: string | null
  readonly repository: string | null
  readonly settings: { readonly apiUrl?: unknown; readonly states?: Readonly<Record<string, unknown>> }
  readonly externalId: string
  readonly base: IssueBase | null
}

export interface IssuePushDeps {
  readonly pool: pg.Pool
  readonly credentials: Credentials
  readonly allowPrivate: boolean
  readonly timeoutMs: number
}

const linkSql = `
select i.id as integration, i.provider, i.organization_id as organization, i.credential_id as credential, i.repository_owner as owner,
  i.repository_name as repository, i.sync_settings as settings, l.external_id as "externalId", t.title, t.description, t.status, b.base
from external_links l join integrations i on i.id = l.integration_id join tasks t on t.id = l.local_id
left join lateral (
  select jsonb_build_object('local', local, 'remote', remote, 'sending', sending, 'past', past) as base from sync.issue_bases b where b.link_id = l.id and b.task_id = t.id
) b on true
where l.id = $1 and l.deleted_at is null and t.deleted_at is null and i.status in ('active', 'error') and i.deleted_at is null and i.credential_id is not null`

/** A title, a text of 64 Ki characters and what GitHub says of people and labels besides. */
const answerBytes = 512 * 1024

/**
 * Tells an issue what was changed in its task: title, description, and whether it is open. Answers the status of the
 * platform; undefined when the link is gone, or the issue knows it all. Of Linear the state is set when
 * `syncSettings.states` names the id of one for the status of the task.
 */
export async function pushIssue(
  { pool, credentials, allowPrivate, timeoutMs }: IssuePushDeps,
  linkId: string,
): Promise<number | undefined> {
  const { rows } = await pool.query<LinkRow>(linkSql, [linkId])
  const [link] = rows
  if (!link) return undefined
  const task = unsentOf(link, link.base ?? undefined)
  const request = link.provider === 'github' ? toGitHub(link, task) : toLinear(link, task)
  const told = { task, issue: inTermsOfIssues(task) }
  if (request === undefined) {
    // A status that the platform has no other word for.
    if (Object.keys(task).length > 0) await tell(pool, link, linkId, undefined, told)
    return undefined
  }
  const { secret } = await credentials.readById(link.organization, link.credential)
  // A webhook may speak of the push before its answer is here.
  await pool.query('update sync.issue_bases set sending = $2 where link_id = $1', [linkId, JSON.stringify(told.issue)])
  const answer = await post({
    method: request.method,
    url: request.url,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      'user-agent': 'tidewire',
      // Linear takes its own keys bare, and tokens of OAuth as bearers.
      authorization: link.provider === 'linear' && secret.startsWith('lin_api_') ? secret : `Bearer ${secret}`,
    },
    body: Buffer.from(JSON.stringify(request.body)),
    allowPrivate,
    timeoutMs,
    answerBytes,
  })
  // GraphQL says 200 also when it did nothing.
  const status =
    answer.status === 200 && link.provider === 'linear' && /^\s*\{\s*"errors"|"success"\s*:\s*false/.test(answer.text)
      ? 422
      : answer.status
  if (status >= 200 && status < 300) await tell(pool, link, linkId, issueOfAnswer(link.provider, answer.text), told)
  return status
}

/** Notes what the issue knows now, and takes in what else the answer says of it. */
async function tell(
  pool: pg.Pool,
  { integration }: LinkRow,
  linkId: string,
  issue: IssueChange | undefined,
  told: Told,
): Promise<void> {
  await inOneTransaction(pool, async (client) => {
    await client.query(`select set_config('app.integration_id', $1, true)`, [integration])
    await followIssue(client, linkId, issue, told)
  })
}

function inTermsOfIssues({ status, ...texts }: Partial<TaskFields>): Partial<IssueFields> {
  return { ...texts, ...(status === undefined ? {} : { state: stateOf(status) }) }
}

interface Request {
  readonly url: string
  readonly method: 'POST' | 'PATCH'
  readonly body: unknown
}

/** Undefined: there is nothing to say. */
function toGitHub(link: LinkRow, task: Partial<TaskFields>): Request | undefined {
  const whole = /^([\w.-]+)\/([\w.-]+)#(\d+)$/.exec(link.externalId)
  const [owner, name, number] = whole ? whole.slice(1) : [link.owner, link.repository, link.externalId]
  if (!owner || !name || !number || !/^\d+$/.test(number))
    throw new TideError(
      'invalid_value',
      `${link.externalId} names no issue of GitHub: it must be a number, or owner/name#number.`,
    )
  const before = link.base?.local.status
  const state =
    task.status === undefined || (before !== undefined && stateOf(before) === stateOf(task.status))
      ? undefined
      : stateOf(task.status)
  const body = {
    ...(task.title === undefined ? {} : { title: task.title }),
    ...(task.description === undefined ? {} : { body: task.description ?? '' }),
    ...(state === undefined
      ? {}
      : state === 'open'
        ? { state }
        : { state: 'closed', state_reason: state === 'completed' ? 'completed' : 'not_planned' }),
  }
  if (Object.keys(body).length === 0) return undefined
  return {
    url: `${baseUrl(link, 'https://api.github.com')}/repos/${encodeURIComponent(owner)}/${encodeURIComponent(name)}/issues/${number}`,
    method: 'PATCH',
    body,
  }
}

function toLinear(link: LinkRow, task: Partial<TaskFields>): Request | undefined {
  const stateId = task.status === undefined ? undefined : link.settings.states?.[task.status]
  const input = {
    ...(task.title === undefined ? {} : { title: task.title }),
    ...(task.description === undefined ? {} : { description: task.description ?? '' }),
    ...(typeof stateId === 'string' ? { stateId } : {}),
  }
  if (Object.keys(input).length === 0) return undefined
  return {
    url: `${baseUrl(link, 'https://api.linear.app')}/graphql`,
    method: 'POST',
    body: {
      query:
        'mutation ($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) ' +
        '{ success issue { id title description updatedAt url state { type } } } }',
      variables: { id: link.externalId, input },
    },
  }
}

/** A GitHub of one's own has an address of its own. */
function baseUrl({ settings }: LinkRow, usual: string): string {
  return typeof settings.apiUrl === 'string' ? settings.apiUrl.replace(/\/+$/, '') : usual
}
