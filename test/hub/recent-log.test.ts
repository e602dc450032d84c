import { expect, test } from 'vitest'
import { toSeq, zeroSeq } from '../../protocol/seq.ts'
import type { RecentCommit } from '../../server/capture/change-source.ts'
import { foldRecent, recentEnd } from '../../server/hub/recent-log.ts'

type Key = RecentCommit['keys'][number]
const origin = { mutation_id: null, origin_device_id: null }
const key = (rowId: string, more: Partial<Key> = {}): Key => ({
  organizationId: 'acme',
  channel: 'project/p',
  oldChannel: null,
  table: 'tasks',
  rowId,
  op: 'upsert',
  origin,
  ...more,
})
const commit = (seq: number, xid: number, ...keys: Key[]): RecentCommit => ({
  point: { seq: toSeq(seq), xid, at: seq },
  keys,
})

test.each([
  ['all are visible', '110:110:', 30, false, 30],
  ['the first runs still', '101:110:101', 5, true, 30],
  ['one in the middle does, and hides those behind it', '102:110:102', 10, true, 30],
  ['the last began after the snapshot', '103:103:', 20, true, 20],
  ['all did', '90:90:', 5, true, 5],
])(
  'a snapshot ends before the first commit that it does not see, and says what it sees behind: %s',
  (_, snapshot, to, pending, sees) => {
    const commits = [commit(10, 101), commit(20, 102), commit(30, 103)]
    expect(recentEnd(commits, snapshot, toSeq(5))).toEqual({ to, pending, sees })
  },
)

test('nothing new ends where it began', () => {
  expect(recentEnd([], '110:110:', toSeq(5))).toEqual({ to: 5, pending: false, sees: 5 })
})

test('transaction ids are told apart across their turns of 32 bits', () => {
  const turn = 2 ** 32
  const commits = [commit(10, turn - 2), commit(20, 3)]
  const end = (snapshot: string): unknown => recentEnd(commits, snapshot, zeroSeq)
  expect(end(`${5 * turn + 9}:${5 * turn + 9}:`)).toEqual({ to: 20, pending: false, sees: 20 })
  expect(end(`${5 * turn + 3}:${5 * turn + 3}:`)).toEqual({ to: 10, pending: true, sees: 10 })

  expect(end(`${5 * turn - 2}:${5 * turn + 4}:${5 * turn - 2}`)).toEqual({ to: 0, pending: true, sees: 20 })
})

test('entries are folded as far as the position, of the asked organizations and of none', () => {
  const mark = { mutation_id: 'm', origin_device_id: 'd' }
  const commits = [
    commit(10, 1, key('a', { origin: mark }), key('b', { organizationId: 'other' })),
    commit(20, 2, key('a', { channel: 'project/q', oldChannel: 'project/p' }), key('c', { organizationId: null })),
    commit(30, 3, key('d')),
  ]
  const fold = foldRecent(commits, toSeq(20), new Set(['acme']), 10)
  expect(fold?.keys()).toMatchObject([
    { id: 'a', seq: 20, channels: ['project/p', 'project/q'] },
    { id: 'c', seq: 20 },
  ])
  expect(fold?.marks).toEqual([{ mutationId: 'm', deviceId: 'd' }])
  expect(foldRecent(commits, toSeq(30), null, 10)?.size).toBe(4)
  expect(foldRecent(commits, toSeq(30), null, 3)).toBeUndefined()
})
