import { describe, expect, test } from 'vitest'
import type { Row } from '../../protocol/rows/row.ts'
import { isOwnOpenConflict, toConflict } from '../../client-sdk/conflict/conflict.ts'
import { resolutionEffects, targetOf } from '../../client-sdk/conflict/resolution-effect.ts'
import { visibleRow } from '../../client-sdk/replica/rebase.ts'
import { serverTask, tableNamed, testIds, userId } from '../replica/replica-schema.ts'

const [deviceId, mutationId, task] = [testIds(), testIds(), serverTask({ title: 'theirs' })]

function conflict(values: Row = {}): Row {
  return {
    id: testIds(),
    deviceId,
    userId,
    agentId: null,
    mutationId,
    tableName: 'tasks',
    rowId: String(task['id']),
    kind: 'field',
    status: 'open',
    fields: { title: { base: 'base', mine: 'mine', theirs: 'theirs' } },
    clientPatch: { title: 'mine' },
    createdAt: '2026-11-22T00:00:00.000Z',
    ...values,
  }
}

test('a conflict names its row and the three sides of each column', () => {
  const row = conflict()
  expect(toConflict(row)).toEqual({
    id: row['id'],
    table: 'tasks',
    rowId: task['id'],
    kind: 'field',
    status: 'open',
    base: { title: 'base' },
    mine: { title: 'mine' },
    theirs: { title: 'theirs' },
    device: deviceId,
    actor: { kind: 'user', id: userId },
    mutationId,
    when: '2026-11-22T00:00:00.000Z',
  })
  expect(targetOf(row)).toEqual({ table: 'tasks', rowId: task['id'] })
  expect([
    isOwnOpenConflict(row, deviceId),
    isOwnOpenConflict(row, testIds()),
    isOwnOpenConflict(row, null),
    isOwnOpenConflict(conflict({ status: 'resolved' }), deviceId),
  ]).toEqual([true, false, false, false])
})

test('a conflict whose content is not of the expected form still has a shape', () => {
  expect(toConflict({ id: 'x', fields: 'broken', clientPatch: null })).toMatchObject({
    base: {},
    mine: {},
    theirs: {},
    table: '',
  })
  expect(targetOf({ id: 'x' })).toBeNull()
  expect(targetOf(null)).toBeNull()
})

describe('a resolution shows on the row', () => {
  const shown = (set: Record<string, string | Record<string, string>>, row: Row, image: Row = task): Row | null => {
    const effects = resolutionEffects({ op: 'resolve', rowId: String(row['id']), at: 0, set }, row)
    return visibleRow(tableNamed('tasks'), image, effects, { organizationId: null, principal: null })
  }
  const deleted = { ...task, deletedAt: '2026-11-22T00:00:00.000Z' }

  test('as the server has it when its side is taken', () => {
    expect(shown({ take: 'server' }, conflict())).toEqual(task)
  })

  test('with the losing values when the client side is taken', () => {
    expect(shown({ take: 'client' }, conflict())).toMatchObject({ title: 'mine' })
  })

  test('with only what the losing side had changed in an object or a set', () => {
    const tasks = tableNamed('tasks')
    const columns = {
      ...tasks.columns,
      options: { name: 'options', type: 'jsonb' },
      labels: { name: 'labels', type: 'text[]' },
    } as const
    const fields = {
      options: { base: { a: 1, b: 1 }, mine: { a: 2, b: 1 }, theirs: { a: 3, b: 1 } },
      labels: { base: ['x', 'y'], mine: ['x', 'mine'], theirs: ['x', 'y'] },
    }
    const row = conflict({ fields })
    const effects = resolutionEffects({ op: 'resolve', rowId: String(row['id']), at: 0, set: { take: 'client' } }, row)
    const image = { ...task, options: { a: 3, b: 9, c: 9 }, labels: ['x', 'y', 'theirs'] }
    expect(visibleRow({ ...tasks, columns }, image, effects, { organizationId: null, principal: null })).toMatchObject({
      options: { a: 2, b: 9, c: 9 },
      labels: ['x', 'mine', 'theirs'],
    })
  })

  test('with the merged values given by hand', () => {
    expect(shown({ take: 'manual', patch: { title: 'both' } }, conflict())).toMatchObject({ title: 'both' })
  })

  test('brought back when an edit wins over a delete, and deleted when a delete wins over an edit', () => {
    const kind = 'delete_update'
    expect(shown({ take: 'client' }, conflict({ kind }), deleted)).toMatchObject({ title: 'mine', deletedAt: null })
    expect(shown({ take: 'manual', patch: { title: 'both' } }, conflict({ kind }), deleted)).toMatchObject({
      title: 'both',
      deletedAt: null,
    })
    expect(shown({ take: 'server' }, conflict({ kind }), deleted)).toEqual(deleted)
    expect(shown({ take: 'client' }, conflict({ kind: 'update_delete' }))?.['deletedAt']).not.toBeNull()
  })

  test('not at all when the conflict is unknown here', () => {
    expect(resolutionEffects({ op: 'resolve', rowId: testIds(), at: 0, set: { take: 'client' } }, null)).toEqual([])
  })
})
