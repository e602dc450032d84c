import { beforeEach, expect, test } from 'vitest'
import type { Purge } from '../store/store.ts'
import { channelA, channelB, follow, idOf, issue, note, reply, signal, thread } from './contract-rows.ts'
import type { Subject } from './contract-subject.ts'

/** Losing and leaving channels. */
export function purgeContract(subject: Subject): void {
  const left = async (): Promise<Readonly<Record<string, readonly number[]>>> => {
    const tables = ['issues', 'threads', 'replies', 'notes', 'signals']
    const rows = await Promise.all(tables.map((table) => subject.store.query(table, {})))
    const entries = tables.map(
      (table, index) =>
        [table, (rows[index] ?? []).map((row) => Number.parseInt(String(row['id']).slice(-12), 16))] as const,
    )
    return Object.fromEntries(entries)
  }
  const purge = (...purges: readonly Purge[]): Promise<void> => subject.store.commit({ purges })

  beforeEach(async () => {
    await subject.store.commit({
      rows: [
        {
          table: 'issues',
          upserts: [issue(1, channelA), issue(2, channelA, { status: 'done' }), issue(3, channelB)],
          deletes: [],
        },
        {
          table: 'threads',
          upserts: [thread(10, channelA), thread(11, channelA, { title: 'special' }), thread(12, channelB)],
          deletes: [],
        },
        { table: 'replies', upserts: [reply(20, 10), reply(21, 11), reply(22, 12)], deletes: [] },
        { table: 'notes', upserts: [note(30, channelA), note(31, channelB)], deletes: [] },
        { table: 'signals', upserts: [signal(40, channelA)], deletes: [] },
      ],
    })
  })

  test('removes all rows of a channel and what hangs under it', async () => {
    await purge({ channel: channelA, keep: [follow('b', channelB)] })
    const expected = { issues: [3], threads: [12], replies: [22], notes: [31], signals: [] }
    expect(await left()).toEqual(expected)
    await subject.reopen()
    expect(await left()).toEqual(expected)
  })

  test('removes only the named tables, with the children of their rows', async () => {
    await purge({ channel: channelA, tables: ['threads', 'notes'], keep: [follow('b', channelB)] })
    expect(await left()).toEqual({ issues: [1, 2, 3], threads: [12], replies: [22], notes: [31], signals: [40] })
  })

  test('keeps what a remaining subscription holds by its tables and filter', async () => {
    const keep = [
      follow('b', channelB),
      follow('open', channelA, { tables: ['issues', 'notes'], where: { issues: { status: 'open' } } }),
    ]
    await purge({ channel: channelA, keep })
    expect(await left()).toEqual({ issues: [1, 3], threads: [12], replies: [22], notes: [30, 31], signals: [] })
  })

  test('keeps children of parents that are kept, if their table is followed', async () => {
    const special = follow('special', channelA, {
      tables: ['threads', 'replies'],
      where: { threads: { title: 'special' } },
    })
    await purge({ channel: channelA, keep: [follow('b', channelB), special] })
    const { threads, replies } = await left()
    expect(threads).toEqual([11, 12])
    // The sub-channel of thread 10 hangs under the channel, whichever threads the filter takes.
    expect(replies).toEqual([20, 21, 22])
  })

  test('removes children of kept parents whose table is not followed', async () => {
    await purge({
      channel: channelA,
      keep: [follow('b', channelB), follow('threads', channelA, { tables: ['threads'] })],
    })
    expect(await left()).toMatchObject({ threads: [10, 11, 12], replies: [22] })
  })

  test('removes a sub-channel alone', async () => {
    await purge({ channel: `thread/${idOf(10)}`, keep: [follow('b', channelB)] })
    expect(await left()).toMatchObject({ threads: [10, 11, 12], replies: [21, 22] })
  })

  test('removes a sub-channel although its parent still is where it was', async () => {
    await purge({ channel: `thread/${idOf(10)}`, keep: [follow('a', channelA), follow('b', channelB)] })
    expect(await left()).toMatchObject({ threads: [10, 11, 12], replies: [21, 22] })
  })

  test('removes children whose parent went earlier and that nobody holds', async () => {
    await subject.store.commit({ rows: [{ table: 'threads', upserts: [], deletes: [idOf(11)] }] })
    await purge({ channel: channelB, keep: [follow('a', channelA)] })
    expect(await left()).toMatchObject({ threads: [10], replies: [20] })
  })

  test('purges several channels before it writes', async () => {
    await subject.store.commit({
      purges: [
        { channel: channelA, keep: [] },
        { channel: channelB, keep: [] },
      ],
      rows: [{ table: 'issues', upserts: [issue(5, channelA)], deletes: [] }],
    })
    expect(await left()).toEqual({ issues: [5], threads: [], replies: [], notes: [], signals: [] })
  })
}
