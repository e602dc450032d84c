import { expect, test } from 'vitest'
import { toSeq } from '../../protocol/seq.ts'
import { Fold, type LogEntry } from '../../server/hub/fold.ts'

function entry(seq: number, rest: Partial<LogEntry> = {}): LogEntry {
  return {
    seq: toSeq(seq),
    organizationId: 'o',
    channel: 'project/p',
    oldChannel: null,
    table: 'tasks',
    rowId: 'a',
    op: 'upsert',
    mutationId: null,
    deviceId: null,
    ...rest,
  }
}

function fold(...entries: readonly LogEntry[]): Fold {
  const folded = new Fold()
  for (const one of entries) folded.add(one)
  return folded
}

test('a row has one key, with the last commit that touched it', () => {
  expect(fold(entry(1), entry(2, { rowId: 'b' }), entry(3)).keys()).toMatchObject([
    { id: 'b', seq: 2 },
    { id: 'a', seq: 3 },
  ])
})

test('the same id in two tables is two rows', () => {
  expect(fold(entry(1), entry(1, { table: 'notes' })).size).toBe(2)
})

test('channels are kept in the order in which the row was last seen in them', () => {
  const moved = fold(
    entry(1, { channel: 'b', oldChannel: 'a' }),
    entry(2, { channel: 'c', oldChannel: 'b' }),
    entry(3, { channel: 'a', oldChannel: 'c' }),
  )
  expect(moved.keys()[0]?.channels).toEqual(['b', 'c', 'a'])
})

test('a row that was deleted and came again is known to have been deleted', () => {
  expect(fold(entry(1, { op: 'delete' }), entry(2)).keys()).toMatchObject([{ deleted: true, seq: 2 }])
})

test('marks name the mutation once, with its device', () => {
  const mark = entry(1, { op: 'mark', rowId: null, channel: 'device/d', mutationId: 'm', deviceId: 'd' })
  const folded = fold(entry(1, { mutationId: 'm', deviceId: 'd' }), mark)
  expect(folded.marks).toEqual([{ deviceId: 'd', mutationId: 'm' }])
  expect(folded.canary).toBe(false)
})

test('a mark of no mutation is a sign of life', () => {
  expect(fold(entry(1, { op: 'mark', rowId: null, channel: 'canary' })).canary).toBe(true)
})

test('a truncate forgets what happened to the table before, not after', () => {
  const folded = fold(
    entry(1),
    entry(1, { table: 'notes' }),
    entry(2, { op: 'reset', rowId: null, channel: 'global' }),
    entry(3, { rowId: 'b' }),
  )
  expect(folded.resets).toEqual(['tasks'])
  expect(folded.keys().map(({ table, id }) => `${table}/${id}`)).toEqual(['notes/a', 'tasks/b'])
})

test('changes of tokens are credentials of their owner, not rows', () => {
  const folded = fold(entry(1, { table: 'access_tokens', channel: 'access/u' }))
  expect(folded.credentials).toEqual(['u'])
  expect(folded.size).toBe(0)
})
