import { expect, test } from 'vitest'
import type { Row } from '../../protocol/rows/row.ts'
import { seededRandom } from '../../lib/random.ts'
import type { StoreCommit, Swap } from '../store/store.ts'
import {
  channelA,
  channelB,
  follow,
  idOf,
  issue,
  note,
  pack,
  reply,
  signal,
  thread,
  vectorOf,
} from './contract-rows.ts'
import type { Subject } from './contract-subject.ts'

type TableName = Parameters<typeof pack>[0]

/** First states of subscriptions: staged page by page, shown at once. */
export function bootstrapContract(subject: Subject): void {
  const stage = (subscription: string, table: TableName, ...rows: readonly Row[]): Promise<void> =>
    subject.store.commit({ stage: { subscription, blocks: [pack(table, rows)] } })
  const put = (table: TableName, ...upserts: readonly Row[]): Promise<void> =>
    subject.store.commit({ rows: [{ table, upserts, deletes: [] }] })
  const swap = (...swaps: readonly Swap[]): Promise<void> => subject.store.commit({ swaps })
  const numbers = async (table: TableName): Promise<readonly number[]> => {
    const rows = await subject.store.query(table, { withDeleted: true })
    return rows.map((row) => Number.parseInt(String(row['id']).slice(-12), 16))
  }

  test('hides staged rows until the swap, and gives them by id', async () => {
    await stage('a', 'issues', issue(1, channelA), issue(2, channelA))
    await stage('a', 'issues', issue(2, channelA, { title: 'newer' }))
    await stage('b', 'issues', issue(3, channelB))
    await subject.reopen()
    expect(await numbers('issues')).toEqual([])
    expect(await subject.store.staged('a', 'issues', [idOf(2), idOf(3), idOf(1)])).toEqual([
      issue(2, channelA, { title: 'newer' }),
      issue(1, channelA),
    ])
    expect(await subject.store.staged('a', 'notes', [idOf(1)])).toEqual([])
    expect(await subject.store.staged('none', 'issues', [idOf(1)])).toEqual([])
    await swap({ subscription: follow('a', channelA), others: [] })
    expect(await subject.store.query('issues', {})).toEqual([
      issue(1, channelA),
      issue(2, channelA, { title: 'newer' }),
    ])
    expect(await subject.store.staged('a', 'issues', [idOf(1)])).toEqual([])
    expect(await subject.store.staged('b', 'issues', [idOf(3)])).toHaveLength(1)
  })

  test('stages vectors', async () => {
    const row = note(1, channelA, { embedding: vectorOf(seededRandom(1)) })
    await stage('a', 'notes', row)
    expect(await subject.store.staged('a', 'notes', [idOf(1)])).toEqual([row])
    await swap({ subscription: follow('a', channelA), others: [] })
    expect(await subject.store.rows('notes', [idOf(1)])).toEqual([row])
  })

  test('drops staging areas', async () => {
    await stage('a', 'issues', issue(1, channelA))
    await stage('b', 'issues', issue(2, channelB))
    await subject.store.commit({ unstage: ['a', 'none'] })
    expect(await subject.store.staged('a', 'issues', [idOf(1)])).toEqual([])
    await swap({ subscription: follow('a', channelA), others: [] }, { subscription: follow('b', channelB), others: [] })
    expect(await numbers('issues')).toEqual([2])
  })

  test('stages, swaps and writes in one commit', async () => {
    const commit: StoreCommit = {
      stage: { subscription: 'a', blocks: [pack('issues', [issue(1, channelA), issue(2, channelA)])] },
      swaps: [{ subscription: follow('a', channelA), others: [] }],
      blocks: [pack('issues', [issue(1, channelA, { title: 'caught up' })])],
      rows: [{ table: 'issues', upserts: [], deletes: [idOf(2)] }],
      subscriptions: {
        puts: [{ subscription: follow('a', channelA), state: 'held', from: null, next: null }],
        deletes: [],
      },
    }
    await subject.store.commit(commit)
    expect(await subject.store.query('issues', {})).toEqual([issue(1, channelA, { title: 'caught up' })])
    expect((await subject.store.load()).subscriptions).toHaveLength(1)
  })

  test('replaces what the channel held: rows that were not staged go, children of its rows too', async () => {
    await put('issues', issue(1, channelA), issue(2, channelA), issue(3, channelB))
    await put('threads', thread(10, channelA), thread(11, channelA), thread(12, channelB))
    await put('replies', reply(20, 10), reply(21, 11), reply(22, 12), reply(23, 10))
    await stage('a', 'issues', issue(2, channelA, { title: 'again' }), issue(4, channelA))
    await stage('a', 'threads', thread(10, channelA))
    await stage('a', 'replies', reply(20, 10))
    await swap({ subscription: follow('a', channelA), others: [follow('b', channelB)] })
    expect(await numbers('issues')).toEqual([2, 3, 4])
    expect(await numbers('threads')).toEqual([10, 12])
    expect(await numbers('replies')).toEqual([20, 22])
    expect(await subject.store.rows('issues', [idOf(2)])).toEqual([issue(2, channelA, { title: 'again' })])
  })

  test('shows an empty state when nothing was staged', async () => {
    await put('issues', issue(1, channelA), issue(2, channelB))
    await swap({ subscription: follow('a', channelA), others: [] })
    expect(await numbers('issues')).toEqual([2])
  })

  test('keeps rows that another subscription holds, by its tables and filter', async () => {
    await put(
      'issues',
      issue(1, channelA, { status: 'open' }),
      issue(2, channelA, { status: 'done' }),
      issue(3, channelA, { status: 'done', priority: 5 }),
    )
    await put('notes', note(4, channelA))
    const other = follow('other', channelA, {
      tables: ['issues'],
      where: { issues: { or: [{ status: 'open' }, { priority: { gt: 3 } }] } },
    })
    await swap({ subscription: follow('a', channelA), others: [other] })
    expect(await numbers('issues')).toEqual([1, 3])
    expect(await numbers('notes')).toEqual([])
  })

  test('touches only the tables that the subscription names', async () => {
    await put('issues', issue(1, channelA))
    await put('threads', thread(10, channelA))
    await put('replies', reply(20, 10))
    await swap({ subscription: follow('a', channelA, { tables: ['issues'] }), others: [] })
    expect([await numbers('issues'), await numbers('threads'), await numbers('replies')]).toEqual([[], [10], [20]])
  })

  test('replaces children although their parents are not followed', async () => {
    await put('replies', reply(20, 10), reply(21, 11))
    await stage('a', 'replies', reply(20, 10, { body: 'new' }))
    await swap({ subscription: follow('a', channelA, { tables: ['replies'] }), others: [] })
    expect(await subject.store.query('replies', {})).toEqual([reply(20, 10, { body: 'new' })])
  })

  test('keeps rows that were only ever written here', async () => {
    await put('signals', signal(1, channelA))
    await swap({ subscription: follow('a', channelA), others: [] })
    expect(await numbers('signals')).toEqual([1])
  })

  test('takes thousands of rows, some of which are here already through another subscription', async () => {
    const rows = Array.from({ length: 6000 }, (_, index) => issue(index, index < 3000 ? channelA : channelB))
    await subject.store.commit({ blocks: [pack('issues', rows.slice(2500, 3500))] })
    for (let start = 0; start < 6000; start += 1500)
      await stage('a', 'issues', ...rows.slice(start, start + 1500).map((row) => ({ ...row, title: 'staged' })))
    await swap({ subscription: follow('a', channelA), others: [follow('b', channelB)] })
    const found = await subject.store.query('issues', {})
    expect(found).toHaveLength(6000)
    expect(new Set(found.map((row) => row['title']))).toEqual(new Set(['staged']))
  })
}
