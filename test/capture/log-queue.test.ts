import { expect, test } from 'vitest'
import { toSeq } from '../../protocol/seq.ts'
import { noOrigin, type CapturedKey } from '../../server/capture/wal/captured-commit.ts'
import { LogQueue, type Work } from '../../server/capture/wal/log-queue.ts'

const key: CapturedKey = {
  organizationId: null,
  channel: 'global',
  oldChannel: null,
  table: 'tasks',
  rowId: '1',
  op: 'upsert',
  born: false,
  version: 1,
  origin: noOrigin,
}
const commit = (seq: number, keys = 1): Work => ({
  kind: 'commit',
  point: { xid: seq, seq: toSeq(seq), end: seq + 5, at: 0 },
  keys: Array.from({ length: keys }, () => key),
  told: false,
})
const position = (end: number): Work => ({ kind: 'position', end })
const queueOf = (...works: readonly Work[]): LogQueue => {
  const queue = new LogQueue(10)
  for (const work of works) queue.push(work)
  return queue
}
const taken = (queue: LogQueue): unknown => {
  const work = queue.take()
  return work?.kind === 'batch' ? [...work.commits.map(({ point }) => point.seq), `to ${work.end}`] : work
}

test('commits go together, whatever positions come between and after them', () => {
  const queue = queueOf(commit(10), position(20), commit(20), position(30), commit(30), position(40), position(50))
  expect(queue.beginsWithCommit).toBe(true)
  expect(taken(queue)).toEqual([10, 20, 30, 'to 50'])
  expect([queue.isEmpty, queue.weight, queue.take()]).toEqual([true, 0, undefined])
})

test('a position in front waits for nothing', () => {
  const queue = queueOf(position(5), position(8), commit(10))
  expect(queue.beginsWithCommit).toBe(false)
  expect(taken(queue)).toEqual({ kind: 'position', end: 8 })
  expect(taken(queue)).toEqual([10, 'to 15'])
})

test('a batch ends before a commit that is too much for it, and before what is no commit', () => {
  const forget: Work = { kind: 'forget', xid: 1, subxid: null }
  const queue = queueOf(commit(10, 4), commit(20, 6), commit(30, 30), commit(40), forget, commit(50))
  expect([taken(queue), taken(queue), taken(queue), taken(queue), taken(queue)]).toEqual([
    [10, 20, 'to 25'],
    [30, 'to 35'],
    [40, 'to 45'],
    forget,
    [50, 'to 55'],
  ])
  expect(queue.weight).toBe(0)
})
