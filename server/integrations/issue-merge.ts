/** What becomes of a task when its issue was changed, and what of the task its issue has not heard yet. Pure. */
import { createHash } from 'node:crypto'
import { mergeText3 } from '../../protocol/rows/merge-values.ts'
import type { IssueChange } from './payload.ts'

export type IssueState = IssueChange['state']
export type IssueFields = Pick<IssueChange, 'title' | 'description' | 'state'>

/** The columns of a task that an issue has too. */
export interface TaskFields {
  readonly title: string
  readonly description: string | null
  readonly status: string
}

/** What both sides last agreed on, each as it says it: a platform may write a text in its own way. */
export interface IssueBase {
  /** A column that is missing was changed since, from a value that nobody knows. */
  readonly local: Partial<TaskFields>
  /** A field that is missing was never seen: it is taken to be as in `local`. */
  readonly remote: Partial<IssueFields>
  /** What a push on its way says. */
  readonly sending: Partial<IssueFields> | null
  /** Digests of what the platform was told before, newest last. */
  readonly past: readonly string[]
}

export interface MergeInput {
  readonly task: TaskFields
  readonly issue: IssueFields
  /** Undefined: nothing was changed in the task since it was linked. */
  readonly base: IssueBase | undefined
  /** Whose value stays where both were changed. */
  readonly winner: 'task' | 'issue'
  /** Whether the issue may be as it was just before our last push: it is of the same moment. */
  readonly sameMoment: boolean
}

export interface IssueMerge {
  /** What is to be written to the task. */
  readonly set: Partial<TaskFields>
  readonly base: Pick<IssueBase, 'local' | 'remote'>
  /** The value that lost, and the one that stays. */
  readonly conflicts: Readonly<
    Record<string, { readonly base: string | null; readonly mine: string | null; readonly theirs: string | null }>
  >
  /** Whether the task now has something that the issue has not. */
  readonly owed: boolean
}

const columnOf = { title: 'title', description: 'description', state: 'status' } as const
type Field = keyof typeof columnOf
const fields = ['title', 'description', 'state'] as const

/** Three-way, field by field: what only the issue changed is taken, what only the task changed stays. */
export function mergeIssue({ task, issue, base, winner, sameMoment }: MergeInput): IssueMerge {
  const set: { title?: string; description?: string | null; status?: string } = {}
  const local: { title?: string; description?: string | null; status?: string } = { ...base?.local }
  const remote: { title?: string; description?: string | null; state?: IssueState } = { ...base?.remote }
  const conflicts: Record<string, IssueMerge['conflicts'][string]> = {}
  let owed = false
  const agree = (field: Field, value: string | null): void => {
    Object.assign(local, { [columnOf[field]]: field === 'state' ? statusOf(issue.state) : value })
    Object.assign(remote, { [field]: issue[field] })
  }
  for (const field of fields) {
    const column = columnOf[field]
    const theirs = issue[field]
    const mine = task[column]
    const before = base && (field in base.remote ? base.remote[field] : base.local[column])
    if (base && before !== undefined && !isNews(field, theirs, before, base, sameMoment)) continue
    if (same(field, mine, theirs)) {
      agree(field, mine)
      continue
    }
    const known = base === undefined ? mine : base.local[column]
    if (known !== undefined && same(field, known, mine)) {
      // An issue without a text takes none from a task that never agreed with it.
      const keep = field === 'description' && theirs === null && base === undefined
      if (!keep) Object.assign(set, { [column]: field === 'state' ? statusOf(issue.state) : theirs })
      agree(field, keep ? mine : theirs)
      continue
    }
    const merged = field === 'description' ? mergeText3(textOf(before), textOf(mine), textOf(theirs)) : undefined
    agree(field, theirs)
    if (merged && 'text' in merged) {
      set.description = merged.text
      owed = true
    } else if (winner === 'task') {
      conflicts[column] = {
        base: known ?? null,
        mine: field === 'state' ? statusOf(issue.state) : theirs,
        theirs: mine,
      }
      owed = true
    } else {
      const taken = field === 'state' ? statusOf(issue.state) : theirs
      conflicts[column] = { base: known ?? null, mine, theirs: taken }
      Object.assign(set, { [column]: taken })
    }
  }
  return { set, base: { local, remote }, conflicts, owed }
}

/** What the issue has not heard of the task yet. */
export function unsentOf(task: TaskFields, base: IssueBase | undefined): Partial<TaskFields> {
  const local = base?.local ?? {}
  return {
    ...(local.title === undefined || !same('title', local.title, task.title) ? { title: task.title } : {}),
    ...(isUnsentText(task, local, base === undefined || base.local.description === undefined)
      ? { description: task.description }
      : {}),
    ...(local.status === task.status ? {} : { status: task.status }),
  }
}

/** A task without a text says nothing of it to an issue that it never agreed with. */
function isUnsentText({ description }: TaskFields, local: Partial<TaskFields>, unknown: boolean): boolean {
  return unknown ? description !== null : !same('description', local.description, description)
}

export function stateOf(status: string): IssueState {
  return status === 'completed' || status === 'cancelled' ? status : 'open'
}

/** By which the same value of a field is known again. */
export function digestOf(field: string, value: string | null | undefined): string {
  return createHash('sha256')
    .update(`${field}:${textOf(value)}`)
    .digest('base64')
    .slice(0, 22)
}

/** Whether the platform changed the field: not when it says what it said before, or what we told it. */
function isNews(
  field: Field,
  theirs: string | null,
  before: string | null,
  { sending, past }: IssueBase,
  sameMoment: boolean,
): boolean {
  if (same(field, before, theirs)) return false
  if (sending && field in sending && same(field, sending[field], theirs)) return false
  return !(sameMoment && past.includes(digestOf(field, theirs)))
}

function same(field: Field, a: string | null | undefined, b: string | null | undefined): boolean {
  // A task that is under way and one that waits are both open; an issue that was closed is closed, for whatever reason.
  if (field === 'state') return (stateOf(a ?? '') === 'open') === (stateOf(b ?? '') === 'open')
  return textOf(a) === textOf(b)
}

/** A platform may end lines in its own way, cut blanks at the end, and has no text that is empty. */
function textOf(value: string | null | undefined): string {
  return (value ?? '').replace(/\r\n?/g, '\n').trimEnd()
}

function statusOf(state: IssueState): string {
  return state === 'open' ? 'pending' : state
}
