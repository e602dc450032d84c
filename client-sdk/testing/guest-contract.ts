import { beforeEach, expect, test } from 'vitest'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { Purge, Swap } from '../store/store.ts'
import {
  board,
  channelA,
  channelB,
  conflict,
  follow,
  guestChannel,
  idOf,
  member,
  pack,
  reader,
  reply,
  thread,
} from './contract-rows.ts'
import type { contractSchema } from './contract-schema.ts'
import type { Subject } from './contract-subject.ts'

type TableName = keyof typeof contractSchema
type Numbers = Readonly<Partial<Record<TableName, readonly number[]>>>

const ada = guestChannel('user', 0xc1)
const bob = guestChannel('user', 0xc2)
const scout = guestChannel('agent', 0xc3)
const crew = guestChannel('team', 0xc4)

/** Rows that a channel carries although they live in another: for guests, and conflicts in sub-channels. */
export function guestContract(subject: Subject): void {
  const put = (table: TableName, ...upserts: Row[]): Promise<void> =>
    subject.store.commit({ rows: [{ table, upserts, deletes: [] }] })
  const stage = (subscription: string, table: TableName, ...rows: Row[]): Promise<void> =>
    subject.store.commit({ stage: { subscription, blocks: [pack(table, rows)] } })
  const swap = (subscription: Subscription, ...others: Subscription[]): Promise<void> => {
    const one: Swap = { subscription, others }
    return subject.store.commit({ swaps: [one] })
  }
  const purge = (one: Purge): Promise<void> => subject.store.commit({ purges: [one] })
  const left = async (...tables: readonly TableName[]): Promise<Numbers> => {
    const rows = await Promise.all(tables.map((table) => subject.store.query(table, { withDeleted: true })))
    return Object.fromEntries(
      tables.map((table, index) => [
        table,
        (rows[index] ?? []).map(({ id }) => Number.parseInt(String(id).slice(-12), 16)),
      ]),
    )
  }

  beforeEach(async () => {
    await put('threads', thread(10, channelA), thread(11, channelA), thread(12, channelB), thread(13, ada))
    await put(
      'readers',
      reader(20, 10, ada),
      reader(21, 10, scout),
      reader(22, 11, bob),
      reader(23, 11, ada, { deletedAt: '2026-11-22T01:42:36.123Z' }),
      reader(24, 12, ada),
    )
    await put('replies', reply(30, 10), reply(31, 11), reply(32, 12), reply(33, 13))
    await put(
      'conflicts',
      conflict(40, `thread/${idOf(10)}`),
      conflict(41, `thread/${idOf(11)}`),
      conflict(42, channelA),
      conflict(43, `thread/${idOf(13)}`),
      conflict(44, `thread/${idOf(99)}`),
    )
  })
  const threads = ['threads', 'readers', 'replies', 'conflicts'] as const

  test('replaces what the channel of a guest carries, with all that hangs under it', async () => {
    await stage('ada', 'threads', thread(13, ada))
    await swap(follow('ada', ada))
    expect(await left(...threads)).toEqual({
      threads: [11, 13],
      readers: [22, 23],
      replies: [31],
      conflicts: [41, 42, 44],
    })
  })

  test('keeps at a swap what a guest still finds', async () => {
    await swap(follow('a', channelA), follow('ada', ada))
    expect(await left(...threads)).toEqual({
      threads: [10, 12, 13],
      readers: [20, 21, 24],
      replies: [30, 32, 33],
      conflicts: [40, 43, 44],
    })
  })

  test('drops at a swap what hung under a row that comes to the guest, unless another subscription held it', async () => {
    const fill = async (): Promise<void> => {
      await put('threads', thread(11, channelA))
      await put('readers', reader(22, 11, bob))
      await put('replies', reply(31, 11))
      await put('conflicts', conflict(41, `thread/${idOf(11)}`))
      await stage('ada', 'threads', thread(11, channelA, { title: 'Come to ada' }))
      await stage('ada', 'readers', reader(25, 11, ada))
    }
    await fill()
    await swap(follow('ada', ada), follow('b', channelB))
    expect(await left(...threads)).toMatchObject({ threads: [11, 12], readers: [24, 25], replies: [32] })
    await fill()
    await swap(follow('ada', ada), follow('a', channelA))
    expect(await left(...threads)).toMatchObject({
      threads: [11],
      readers: [22, 25],
      replies: [31],
      conflicts: [41, 42, 44],
    })
    await fill()
    await swap(follow('ada', ada, { tables: ['threads', 'readers'] }))
    expect(await left(...threads)).toMatchObject({ threads: [11], readers: [25], replies: [31] })
  })

  test('drops what hangs under rows that come to a subscription, unless one that is complete held it', async () => {
    const come = (held: readonly Subscription[]): Promise<void> =>
      subject.store.commit({
        outdated: [{ table: 'threads', ids: [10, 13].map(idOf), held }],
        blocks: [pack('replies', [reply(34, 10)])],
      })
    await come([follow('ada', ada, { tables: ['threads', 'readers', 'replies'] }), follow('b', channelB)])
    expect(await left(...threads)).toMatchObject({ threads: [10, 11, 12, 13], readers: [20, 21, 22, 23, 24] })
    expect(await left('replies')).toEqual({ replies: [30, 31, 32, 33, 34] })
    await come([follow('b', channelB, { tables: ['replies'] }), follow('bob', bob, { tables: ['conflicts'] })])
    expect(await left('readers', 'replies')).toEqual({ readers: [20, 21, 22, 23, 24], replies: [31, 32, 34] })
    expect(await left('conflicts')).toEqual({ conflicts: [41, 42, 44] })
  })

  test('keeps at a purge what a guest still finds', async () => {
    await purge({ channel: channelA, keep: [follow('scout', scout), follow('b', channelB)] })
    expect(await left(...threads)).toEqual({
      threads: [10, 12, 13],
      readers: [20, 21, 24],
      replies: [30, 32, 33],
      conflicts: [40, 43],
    })
    await subject.reopen()
    await purge({ channel: ada, keep: [follow('scout', scout)] })
    expect(await left(...threads)).toEqual({ threads: [10], readers: [20, 21], replies: [30], conflicts: [40] })
  })

  test('purges the channel of a guest, and keeps what other channels carry', async () => {
    await purge({ channel: ada, keep: [follow('a', channelA)] })
    expect(await left(...threads)).toEqual({
      threads: [10, 11],
      readers: [20, 21, 22, 23],
      replies: [30, 31],
      conflicts: [40, 41, 42],
    })
  })

  test('keeps for a guest what cannot be told because the guests are left out', async () => {
    await subject.store.commit({
      rows: [{ table: 'readers', upserts: [], deletes: [20, 21, 22, 23, 24].map((number) => idOf(number)) }],
    })
    await purge({ channel: channelA, keep: [follow('ada', ada, { tables: ['threads', 'replies'] })] })
    expect(await left(...threads)).toMatchObject({ threads: [10, 11, 12, 13], replies: [30, 31, 32, 33] })
    await purge({ channel: channelA, keep: [follow('ada', ada)] })
    expect(await left(...threads)).toMatchObject({ threads: [12, 13], replies: [32, 33] })
  })

  test('traces conflicts in a sub-channel that is carried, whether their parents are followed or not', async () => {
    await purge({ channel: channelA, keep: [follow('conflicts', channelA, { tables: ['conflicts'] })] })
    expect(await left('threads', 'conflicts')).toEqual({ threads: [12, 13], conflicts: [40, 41, 42, 43, 44] })
    await purge({ channel: channelA, keep: [follow('threads', channelA, { tables: ['threads'] })] })
    expect(await left('threads', 'conflicts')).toEqual({ threads: [12, 13], conflicts: [43] })
  })

  test('shares a row in the channel of its own name with its owner and its members', async () => {
    const boards = (): Promise<Numbers> => left('boards')
    const fill = async (): Promise<void> => {
      await put('boards', board(50, { ownerId: idOf(0xc1) }), board(51), board(52), board(53, { channel: channelA }))
      await put('members', member(60, 50, bob), member(61, 51, crew), member(62, 52, bob), member(63, 53, bob))
    }
    await fill()
    const projects = [50, 51, 52].map((number) => `project/${idOf(number)}`)
    const keepOf = (channel: string): Purge['keep'] => [follow('guest', channel), follow('a', channelA)]
    const purges = (channel: string): readonly Purge[] =>
      projects.map((project) => ({ channel: project, keep: keepOf(channel) }))
    for (const [channel, expected] of [
      [ada, [50, 53]],
      [bob, [50, 52, 53]],
      [crew, [51, 53]],
      [scout, [53]],
    ] as const) {
      await fill()
      await subject.store.commit({ purges: purges(channel) })
      expect([channel, await boards()]).toEqual([channel, { boards: expected }])
    }
    await fill()
    await swap(follow('bob', bob), follow('a', channelA))
    expect(await boards()).toEqual({ boards: [51, 53] })
  })

  test('tells by the row that names a guest which of two guests has it, though neither follows what it is a guest of', async () => {
    const both = [follow('bob', bob), follow('crew', crew)] as const
    const fill = async (): Promise<void> => {
      await put('boards', board(50), board(51), board(52))
      await put('members', member(60, 50, bob), member(61, 51, crew), member(62, 52, bob), member(63, 52, crew))
    }
    await fill()
    await swap(...both)
    expect(await left('boards', 'members')).toEqual({ boards: [51, 52], members: [61, 63] })
    await fill()
    await purge({ channel: bob, keep: [both[1]] })
    expect(await left('boards', 'members')).toEqual({ boards: [51, 52], members: [61, 63] })
    await put('members', member(61, 51, crew, { deletedAt: '2026-11-22T01:42:36.123Z' }))
    await purge({ channel: `project/${idOf(51)}`, keep: [...both] })
    expect(await left('boards', 'members')).toEqual({ boards: [52], members: [63] })
  })

  test('keeps a row for a guest who leaves out the rows that name guests', async () => {
    await put('boards', board(50), board(51))
    await put('members', member(61, 51, crew))
    const some = follow('ada', ada, { tables: ['boards'] })
    await purge({ channel: crew, keep: [some] })
    expect(await left('boards')).toEqual({ boards: [50, 51] })
    await purge({ channel: crew, keep: [follow('ada', ada)] })
    expect(await left('boards')).toEqual({ boards: [] })
  })
}
