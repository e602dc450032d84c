import { describe, expect, test } from 'vitest'
import {
  digestOf,
  mergeIssue,
  unsentOf,
  type IssueBase,
  type IssueFields,
  type TaskFields,
} from '../../server/integrations/issue-merge.ts'

const task: TaskFields = { title: 'A', description: 'one\ntwo\nthree', status: 'pending' }
const issue: IssueFields = { title: 'A', description: 'one\ntwo\nthree', state: 'open' }
const base: IssueBase = { local: task, remote: issue, sending: null, past: [] }
const merge = (
  mine: Partial<TaskFields>,
  theirs: Partial<IssueFields>,
  more: {
    readonly base?: IssueBase | undefined
    readonly winner?: 'task' | 'issue'
    readonly sameMoment?: boolean
  } = {},
) =>
  mergeIssue({
    task: { ...task, ...mine },
    issue: { ...issue, ...theirs },
    base: 'base' in more ? more.base : base,
    winner: more.winner ?? 'task',
    sameMoment: more.sameMoment ?? false,
  })

describe('a change of an issue', () => {
  test('is taken where the task was not changed, and the task keeps what it alone changed', () => {
    const { set, conflicts, base: next } = merge({ title: 'B' }, { state: 'completed', description: 'new' })
    expect(set).toEqual({ description: 'new', status: 'completed' })
    expect(conflicts).toEqual({})
    expect(unsentOf({ ...task, title: 'B', ...set }, { ...base, ...next })).toEqual({ title: 'B' })
  })

  test('that only says what the platform was told changes nothing', () => {
    const told = { ...base, sending: { title: 'B' } }
    expect(merge({ title: 'C' }, { title: 'B' }, { base: told })).toMatchObject({ set: {}, conflicts: {}, owed: false })
    const after = {
      ...base,
      local: { ...task, title: 'C' },
      remote: { ...issue, title: 'C' },
      past: [digestOf('title', 'B')],
    }
    expect(merge({ title: 'C' }, { title: 'B' }, { base: after, sameMoment: true }).set).toEqual({})
    expect(merge({ title: 'C' }, { title: 'B' }, { base: after }).set).toEqual({ title: 'B' })
  })

  test('of a text that the task changed elsewhere is merged by lines, and owed to the issue', () => {
    const merged = merge({ description: 'ONE\ntwo\nthree' }, { description: 'one\r\ntwo\r\nTHREE' })
    expect(merged).toMatchObject({ set: { description: 'ONE\ntwo\nTHREE' }, conflicts: {}, owed: true })
    expect(unsentOf({ ...task, ...merged.set }, { ...base, ...merged.base })).toEqual({
      description: 'ONE\ntwo\nTHREE',
    })
  })

  test('that the task changed as well stays with the task and loses no value', () => {
    const merged = merge({ title: 'B', status: 'completed' }, { title: 'X' })
    expect(merged).toMatchObject({
      set: {},
      conflicts: { title: { base: 'A', mine: 'X', theirs: 'B' } },
      owed: true,
    })
    expect(unsentOf({ ...task, title: 'B', status: 'completed' }, { ...base, ...merged.base })).toEqual({
      title: 'B',
      status: 'completed',
    })
    expect(merge({ title: 'B' }, { title: 'X' }, { winner: 'issue' })).toMatchObject({
      set: { title: 'X' },
      conflicts: { title: { base: 'A', mine: 'B', theirs: 'X' } },
      owed: false,
    })
  })

  test('is taken whole while nothing was changed in the task since it was linked', () => {
    const { set } = merge({}, { title: 'X', description: null, state: 'cancelled' }, { base: undefined })
    expect(set).toEqual({ title: 'X', status: 'cancelled' })
  })

  test('meets a column that was changed from an unknown value as a conflict', () => {
    const unknown = { ...base, local: {}, remote: {} }
    expect(merge({ title: 'B' }, { title: 'X' }, { base: unknown }).conflicts).toEqual({
      title: { base: null, mine: 'X', theirs: 'B' },
    })
  })

  test('leaves a task alone that is under way, or closed for another reason', () => {
    expect(merge({ status: 'in_progress' }, {}).set).toEqual({})
    const closed = {
      ...base,
      local: { ...task, status: 'completed' },
      remote: { ...issue, state: 'completed' as const },
    }
    expect(merge({ status: 'completed' }, { state: 'cancelled' }, { base: closed }).set).toEqual({})
    expect(merge({ status: 'completed' }, { state: 'open' }, { base: closed }).set).toEqual({ status: 'pending' })
  })
})
