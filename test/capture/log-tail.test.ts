import { expect, test } from 'vitest'
import { toSeq } from '../../protocol/seq.ts'
import type { RecentCommit } from '../../server/capture/change-source.ts'
import { LogTail } from '../../server/capture/wal/log-tail.ts'

const key: RecentCommit['keys'][number] = {
  organizationId: null,
  channel: 'global',
  oldChannel: null,
  table: 'tasks',
  rowId: '1',
  op: 'upsert',
  origin: { mutation_id: null, origin_device_id: null },
}
const commit = (seq: number, keys = 1): RecentCommit => ({
  point: { seq: toSeq(seq), xid: seq, at: seq },
  keys: Array.from({ length: keys }, () => key),
})
const tailOf = (since: number, maxKeys: number): LogTail => {
  const tail = new LogTail(maxKeys)
  tail.begin(toSeq(since))
  return tail
}
const addAll = (tail: LogTail, commits: readonly RecentCommit[]): void => {
  for (const one of commits) tail.add(one)
}
const after = (tail: LogTail, from: number): readonly number[] | undefined =>
  tail.after(toSeq(from))?.map(({ point }) => point.seq)

test('knows what came after a position, and says when it no longer does', () => {
  const tail = tailOf(10, 3)
  expect(after(tail, 9)).toBeUndefined()
  expect(after(tail, 10)).toEqual([])
  addAll(tail, [commit(11), commit(12), commit(13)])
  expect(after(tail, 10)).toEqual([11, 12, 13])
  expect(after(tail, 12)).toEqual([13])
  expect(after(tail, 20)).toEqual([])
  addAll(tail, [commit(14)])
  expect(after(tail, 10)).toBeUndefined()
  expect(after(tail, 11)).toEqual([12, 13, 14])
})

test('forgets all when one commit is more than it holds', () => {
  const tail = tailOf(0, 3)
  addAll(tail, [commit(1), commit(2, 4)])
  expect([after(tail, 0), after(tail, 1), after(tail, 2)]).toEqual([undefined, undefined, []])
  addAll(tail, [commit(3)])
  expect(after(tail, 2)).toEqual([3])
})

test('leaves out commits without entries and those that are sent again', () => {
  const tail = tailOf(10, 100)
  addAll(tail, [commit(9), commit(10), commit(11), commit(12, 0)])
  addAll(tail, [commit(11), commit(13)])
  expect(after(tail, 10)).toEqual([11, 13])
})

test('begins anew behind a commit that it does not hold', () => {
  const tail = tailOf(0, 100)
  addAll(tail, [commit(1)])
  tail.restart(toSeq(5))
  addAll(tail, [commit(6)])
  expect([after(tail, 4), after(tail, 5)]).toEqual([undefined, [6]])
})

test('does not go back for a commit that is sent again and that it does not hold', () => {
  const tail = tailOf(10, 100)
  tail.restart(toSeq(5))
  expect([after(tail, 7), after(tail, 10)]).toEqual([undefined, []])
})

test('holds what came before it was known where the log ends, but what the log has', () => {
  const tail = new LogTail(100)
  addAll(tail, [commit(9), commit(10), commit(11)])
  tail.begin(toSeq(10))
  expect([after(tail, 9), after(tail, 10)]).toEqual([undefined, [11]])
  const full = new LogTail(2)
  addAll(full, [commit(9), commit(10), commit(11), commit(12)])
  full.begin(toSeq(9))
  expect([after(full, 9), after(full, 10)]).toEqual([undefined, [11, 12]])
})
