import { expect, test } from 'vitest'
import { toSeq } from '../../protocol/seq.ts'
import type { LoggedCommit } from '../../server/capture/change-source.ts'
import { LogTail } from '../../server/capture/wal/log-tail.ts'

const key: LoggedCommit['keys'][number] = {
  organizationId: null,
  channel: 'global',
  oldChannel: null,
  table: 'tasks',
  rowId: '1',
  op: 'upsert',
  origin: { mutation_id: null, origin_device_id: null },
}
const commit = (seq: number, keys = 1): LoggedCommit => ({
  point: { seq: toSeq(seq), xid: seq },
  keys: Array.from({ length: keys }, () => key),
})
const after = (tail: LogTail, from: number): readonly number[] | undefined =>
  tail.after(toSeq(from))?.map(({ point }) => point.seq)

test('knows what came after a position, and says when it no longer does', () => {
  const tail = new LogTail(toSeq(10), 3)
  expect(after(tail, 9)).toBeUndefined()
  expect(after(tail, 10)).toEqual([])
  tail.add([commit(11), commit(12), commit(13)])
  expect(after(tail, 10)).toEqual([11, 12, 13])
  expect(after(tail, 12)).toEqual([13])
  expect(after(tail, 20)).toEqual([])
  tail.add([commit(14)])
  expect(after(tail, 10)).toBeUndefined()
  expect(after(tail, 11)).toEqual([12, 13, 14])
})

test('forgets all when one commit is more than it holds', () => {
  const tail = new LogTail(toSeq(0), 3)
  tail.add([commit(1), commit(2, 4)])
  expect([after(tail, 0), after(tail, 1), after(tail, 2)]).toEqual([undefined, undefined, []])
  tail.add([commit(3)])
  expect(after(tail, 2)).toEqual([3])
})

test('leaves out commits without entries and those that are sent again', () => {
  const tail = new LogTail(toSeq(10), 100)
  tail.add([commit(9), commit(10), commit(11), commit(12, 0)])
  tail.add([commit(11), commit(13)])
  expect(after(tail, 10)).toEqual([11, 13])
})

test('begins anew behind a commit that it does not hold', () => {
  const tail = new LogTail(toSeq(0), 100)
  tail.add([commit(1)])
  tail.restart(toSeq(5))
  tail.add([commit(6)])
  expect([after(tail, 4), after(tail, 5)]).toEqual([undefined, [6]])
})
