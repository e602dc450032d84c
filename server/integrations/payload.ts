/** What a webhook says, in the terms of Tidewire. Pure. */
import type { IncomingHttpHeaders } from 'node:http'
import { createHash } from 'node:crypto'
import { TideError } from '../../protocol/error.ts'
import type { Json } from '../../protocol/rows/row.ts'
import type { Provider, Sent } from './signatures.ts'

export type JsonObject = Readonly<Record<string, Json>>

export interface Delivery {
  /** As the platform names it: `push`, `issues.opened`, `Issue.update`, `app_mention`. */
  readonly eventType: string
  /** A repeat has the same. */
  readonly externalId: string
  readonly payload: JsonObject
}

/** An issue as a webhook shows it. */
export interface IssueChange {
  /** Every name by which a link may know it. */
  readonly externalIds: readonly string[]
  readonly title: string
  readonly description: string | null
  readonly state: 'open' | 'completed' | 'cancelled'
  readonly url: string | null
  /** Of the platform; null when it does not say. */
  readonly updatedAt: string | null
}

/**
 * Reads a body whose signature is good. Throws `bad_message` when it is not JSON, or the form that the platform sends.
 */
export function readDelivery(provider: Provider, { headers, body }: Sent): Delivery {
  const payload = parse(headers, body)
  const header = (name: string): string | undefined => {
    const value = headers[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const id = (given: string | undefined): string =>
    given?.slice(0, 255) ?? createHash('sha256').update(body).digest('hex')
  switch (provider) {
    case 'github':
      return {
        eventType: named(header('x-github-event'), text(payload['action'])),
        externalId: id(header('x-github-delivery')),
        payload,
      }
    case 'linear':
      return {
        eventType: named(text(payload['type']) ?? header('linear-event'), text(payload['action'])),
        externalId: id(header('linear-delivery')),
        payload,
      }
    case 'slack':
      return {
        eventType: named(text(object(payload['event'])['type']) ?? text(payload['type']) ?? text(payload['command'])),
        externalId: id(text(payload['event_id'])),
        payload,
      }
    case 'generic':
      return { eventType: named(text(payload['type'])), externalId: id(header('webhook-id')), payload }
  }
}

/** Undefined: it is not about an issue. */
export function issueChangeOf(
  provider: string,
  { eventType, payload }: Pick<Delivery, 'eventType' | 'payload'>,
): IssueChange | undefined {
  if (provider === 'github' && eventType.startsWith('issues.'))
    return gitHubIssue(object(payload['issue']), payload, eventType === 'issues.deleted')
  if (provider === 'linear' && eventType.startsWith('Issue.'))
    return linearIssue(object(payload['data']), text(payload['url']) ?? null, eventType === 'Issue.remove')
  return undefined
}

/** The issue in the answer to a push; undefined: the answer does not show it. */
export function issueOfAnswer(provider: string, answer: string): IssueChange | undefined {
  try {
    const parsed: unknown = JSON.parse(answer)
    if (!isObject(parsed)) return undefined
    if (provider === 'github') return gitHubIssue(parsed, {}, false)
    return linearIssue(object(object(object(parsed['data'])['issueUpdate'])['issue']), null, false)
  } catch {
    return undefined
  }
}

function gitHubIssue(issue: JsonObject, payload: JsonObject, deleted: boolean): IssueChange | undefined {
  const number = issue['number']
  const title = text(issue['title'])
  if (typeof number !== 'number' || title === undefined) return undefined
  const repository = text(object(payload['repository'])['full_name'])
  const closed = issue['state'] === 'closed'
  return {
    externalIds: [String(number), ...(repository === undefined ? [] : [`${repository}#${number}`])],
    title: title.slice(0, 255),
    description: text(issue['body']) ?? null,
    state: deleted || (closed && issue['state_reason'] === 'not_planned') ? 'cancelled' : closed ? 'completed' : 'open',
    url: text(issue['html_url']) ?? null,
    updatedAt: time(issue['updated_at']),
  }
}

function linearIssue(issue: JsonObject, url: string | null, removed: boolean): IssueChange | undefined {
  const [id, title] = [text(issue['id']), text(issue['title'])]
  if (id === undefined || title === undefined) return undefined
  const type = text(object(issue['state'])['type'])
  const identifier = text(issue['identifier'])
  return {
    externalIds: [id, ...(identifier === undefined ? [] : [identifier])],
    title: title.slice(0, 255),
    description: text(issue['description']) ?? null,
    state: removed || type === 'canceled' ? 'cancelled' : type === 'completed' ? 'completed' : 'open',
    url,
    updatedAt: time(issue['updatedAt']),
  }
}

/** The commit that pipelines are to run for, of a push to a branch or a pull request that has new commits. */
export function commitOf(
  provider: string,
  { eventType, payload }: Pick<Delivery, 'eventType' | 'payload'>,
):
  | {
      readonly trigger: 'push' | 'pull_request'
      readonly repository: string
      readonly branch: string
      readonly sha: string
    }
  | undefined {
  if (provider !== 'github') return undefined
  const repository = text(object(payload['repository'])['full_name'])
  if (repository === undefined) return undefined
  if (eventType === 'push' && payload['deleted'] !== true) {
    const branch = /^refs\/heads\/(.+)$/.exec(text(payload['ref']) ?? '')?.[1]
    const sha = text(payload['after'])
    return branch === undefined || sha === undefined ? undefined : { trigger: 'push', repository, branch, sha }
  }
  if (['pull_request.opened', 'pull_request.reopened', 'pull_request.synchronize'].includes(eventType)) {
    const head = object(object(payload['pull_request'])['head'])
    const [branch, sha] = [text(head['ref']), text(head['sha'])]
    return branch === undefined || sha === undefined ? undefined : { trigger: 'pull_request', repository, branch, sha }
  }
  return undefined
}

/** What a webhook says of a branch and its repository. */
export interface BranchChange {
  readonly repository: string
  /** Of the repository, as the platform knows it. */
  readonly externalId: string | null
  readonly branch: string
  readonly status: 'active' | 'merged' | 'deleted'
  /** Null: not told. */
  readonly sha: string | null
  readonly isDefault: boolean
  readonly committedAt: string | null
  readonly author: string | null
  /** Commits that its base does not have; null: not told. */
  readonly aheadBy: number | null
  /** In which most of the repository is written; null: not told. */
  readonly language: string | null
}

/** The branch that was pushed to or deleted, or of a pull request; undefined: the webhook is about none. */
export function branchOf(
  provider: string,
  { eventType, payload }: Pick<Delivery, 'eventType' | 'payload'>,
): BranchChange | undefined {
  if (provider !== 'github') return undefined
  const repository = object(payload['repository'])
  const name = text(repository['full_name'])
  if (name === undefined) return undefined
  const id = repository['id']
  const of = (branch: string) => ({
    repository: name,
    externalId: typeof id === 'number' ? String(id) : null,
    branch,
    isDefault: repository['default_branch'] === branch,
    committedAt: null,
    author: null,
    aheadBy: null,
    language: text(repository['language']) ?? null,
  })
  if (eventType === 'push') {
    const branch = /^refs\/heads\/(.+)$/.exec(text(payload['ref']) ?? '')?.[1]
    if (branch === undefined) return undefined
    if (payload['deleted'] === true) return { ...of(branch), status: 'deleted', sha: null, aheadBy: 0 }
    const commit = object(payload['head_commit'])
    return {
      ...of(branch),
      status: 'active',
      sha: text(payload['after']) ?? null,
      committedAt: time(commit['timestamp']),
      author: text(object(commit['author'])['name']) ?? null,
    }
  }
  const pull = object(payload['pull_request'])
  const head = object(pull['head'])
  const branch = text(head['ref'])
  const isMerged = eventType === 'pull_request.closed' && pull['merged'] === true
  if (!isMerged && !pullRequestNews.has(eventType)) return undefined
  // Of a fork it is another repository's branch.
  if (branch === undefined || text(object(head['repo'])['full_name']) !== name) return undefined
  const sha = text(head['sha']) ?? null
  if (isMerged) return { ...of(branch), status: 'merged', sha, aheadBy: 0 }
  return { ...of(branch), status: 'active', sha, aheadBy: count(pull['commits']) }
}

const pullRequestNews: ReadonlySet<string> = new Set([
  'pull_request.opened',
  'pull_request.reopened',
  'pull_request.synchronize',
])

/** A rule that protects branches of a repository. */
export interface BranchRule {
  readonly repository: string
  /** As the platform knows it. */
  readonly externalId: string
  /** A regular expression for the names of the branches; null: the rule is gone. */
  readonly matches: string | null
}

/** Undefined: the webhook is about no such rule. */
export function branchRuleOf(
  provider: string,
  { eventType, payload }: Pick<Delivery, 'eventType' | 'payload'>,
): BranchRule | undefined {
  if (provider !== 'github' || !eventType.startsWith('branch_protection_rule.')) return undefined
  const repository = text(object(payload['repository'])['full_name'])
  const { id, name } = object(payload['rule'])
  if (repository === undefined || typeof id !== 'number' || typeof name !== 'string') return undefined
  const isGone = eventType === 'branch_protection_rule.deleted'
  return { repository, externalId: String(id), matches: isGone ? null : namesLike(name) }
}

/** GitHub's patterns are those of `fnmatch`: an asterisk ends at a slash, two with a slash behind them do not. */
export function namesLike(pattern: string): string {
  const parts = pattern.match(/\*\*\/|\*+|\?|[^*?]/gu) ?? []
  const one = (part: string): string => {
    if (part === '**/') return '(.*/)?'
    if (part.startsWith('*')) return '[^/]*'
    return part === '?' ? '[^/]' : part.replace(/[\\^$.|+()[\]{}]/u, '\\$&')
  }
  return `^${parts.map(one).join('')}$`
}

/** The task that a branch may be for, as its name says it: an id, the number of an issue, or a key such as ENG-12. */
export interface TaskHint {
  readonly id: string | null
  readonly number: string | null
  readonly key: string | null
}

export function taskHintOf(branch: string): TaskHint {
  return {
    id: /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/iu.exec(branch)?.[0].toLowerCase() ?? null,
    number: /(?:^|\/)(?:issue-|gh-)?(\d{1,9})(?:[-_]|$)/iu.exec(branch)?.[1] ?? null,
    key: /(?:^|\/)([a-z]{2,10}-\d{1,9})(?:[-_/]|$)/iu.exec(branch)?.[1]?.toUpperCase() ?? null,
  }
}

function parse(headers: IncomingHttpHeaders, body: Buffer): JsonObject {
  try {
    const raw = body.toString()
    const parsed: unknown = headers['content-type']?.startsWith('application/x-www-form-urlencoded')
      ? parseForm(raw)
      : JSON.parse(raw)
    if (isObject(parsed)) return parsed
  } catch (cause) {
    throw new TideError('bad_message', 'The body of the webhook is not JSON.', { cause })
  }
  throw new TideError('bad_message', 'The body of the webhook is no JSON object.')
}

/** Platforms put JSON into the field `payload`, or send plain fields (Slack's commands). */
function parseForm(raw: string): unknown {
  const fields = Object.fromEntries(new URLSearchParams(raw))
  const { payload } = fields
  return payload === undefined ? fields : JSON.parse(payload)
}

function named(...parts: readonly (string | undefined)[]): string {
  return (
    parts
      .filter((part) => part !== undefined && part !== '')
      .join('.')
      .slice(0, 160) || 'unknown'
  )
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function object(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {}
}

function count(value: Json | undefined): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 31 ? value : null
}

function text(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function time(value: Json | undefined): string | null {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value)) ? value : null
}
