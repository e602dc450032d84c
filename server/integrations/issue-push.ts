import type pg from 'pg'
import { TideError } from '../../protocol/error.ts'
import type { Credentials } from '../credentials/credentials.ts'
import { post } from './post.ts'

interface LinkRow {
  readonly provider: string
  readonly organization: string
  readonly credential: string
  readonly owner: string | null
  readonly repository: string | null
  readonly settings: { readonly apiUrl?: unknown; readonly states?: Readonly<Record<string, unknown>> }
  readonly externalId: string
  readonly title: string
  readonly description: string | null
  readonly status: string
  readonly version: number
}

export interface IssuePushDeps {
  readonly pool: pg.Pool
  readonly credentials: Credentials
  readonly allowPrivate: boolean
  readonly timeoutMs: number
}

const linkSql = `
select i.provider, i.organization_id as organization, i.credential_id as credential, i.repository_owner as owner, i.repository_name as repository,
  i.sync_settings as settings, l.external_id as "externalId", t.title, t.description, t.status, t.version
from external_links l join integrations i on i.id = l.integration_id join tasks t on t.id = l.local_id
where l.id = $1 and l.deleted_at is null and t.deleted_at is null and i.status in ('active', 'error') and i.deleted_at is null and i.credential_id is not null`

/**
 * Makes an issue as its task is now: title, description, and whether it is open. Answers the status of the platform; undefined when the link is
 * gone. Of Linear the state is set when \`syncSettings.states\` names the id of one for the status of the task.
 */
export async function pushIssue(
  { pool, credentials, allowPrivate, timeoutMs }: IssuePushDeps,
  linkId: string,
): Promise<number | undefined> {
  const { rows } = await pool.query<LinkRow>(linkSql, [linkId])
  const [link] = rows
  if (!link) return undefined
  const { secret } = await credentials.readById(link.organization, link.credential)
  const { url, method, body } = link.provider === 'github' ? toGitHub(link) : toLinear(link)
  const answer = await post({
    method,
    url,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      'user-agent': 'tidewire',
      // Linear takes its own keys bare, and tokens of OAuth as bearers.
      authorization: link.provider === 'linear' && secret.startsWith('lin_api_') ? secret : `Bearer ${secret}`,
    },
    body: Buffer.from(JSON.stringify(body)),
    allowPrivate,
    timeoutMs,
  })
  // GraphQL says 200 also when it did nothing.
  const status =
    answer.status === 200 && link.provider === 'linear' && /^\s*\{\s*"errors"|"success"\s*:\s*false/.test(answer.text)
      ? 422
      : answer.status
  if (status >= 200 && status < 300)
    await pool.query('update external_links set last_local_version = $2 where id = $1', [linkId, link.version])
  return status
}

interface Request {
  readonly url: string
  readonly method: 'POST' | 'PATCH'
  readonly body: unknown
}

function toGitHub(link: LinkRow): Request {
  const whole = /^([\w.-]+)\/([\w.-]+)#(\d+)$/.exec(link.externalId)
  const [owner, name, number] = whole ? whole.slice(1) : [link.owner, link.repository, link.externalId]
  if (!owner || !name || !number || !/^\d+$/.test(number))
    throw new TideError(
      'invalid_value',
      `${link.externalId} names no issue of GitHub: it must be a number, or owner/name#number.`,
    )
  const closed = link.status === 'completed' || link.status === 'cancelled'
  return {
    url: `${baseUrl(link, 'https://api.github.com')}/repos/${encodeURIComponent(owner)}/${encodeURIComponent(name)}/issues/${number}`,
    method: 'PATCH',
    body: {
      title: link.title,
      ...(link.description === null ? {} : { body: link.description }),
      state: closed ? 'closed' : 'open',
      ...(closed ? { state_reason: link.status === 'completed' ? 'completed' : 'not_planned' } : {}),
    },
  }
}

function toLinear(link: LinkRow): Request {
  const stateId = link.settings.states?.[link.status]
  return {
    url: `${baseUrl(link, 'https://api.linear.app')}/graphql`,
    method: 'POST',
    body: {
      query: 'mutation ($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) { success } }',
      variables: {
        id: link.externalId,
        input: {
          title: link.title,
          ...(link.description === null ? {} : { description: link.description }),
          ...(typeof stateId === 'string' ? { stateId } : {}),
        },
      },
    },
  }
}

/** A GitHub of one's own has an address of its own. */
function baseUrl({ settings }: LinkRow, usual: string): string {
  return typeof settings.apiUrl === 'string' ? settings.apiUrl.replace(/\/+$/, '') : usual
}
