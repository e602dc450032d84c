import { describe, expect, test } from 'vitest'
import { closureOf, dependenciesOf } from '../../client-sdk/outbox/depends.ts'
import { Outbox } from '../../client-sdk/outbox/outbox.ts'
import { rowSync } from '../../client-sdk/outbox/row-sync.ts'
import { pushBytes, selectPush } from '../../client-sdk/outbox/select-push.ts'
import { withNewIds } from '../../client-sdk/outbox/renew.ts'
import type { OutboxEntry } from '../../client-sdk/store/store.ts'
import { messageFrame } from '../../protocol/parse.ts'
import { tableNamed, testIds } from '../replica/replica-schema.ts'

let position = 0
function entry(values: Partial<OutboxEntry['mutation']> = {}, other: Partial<OutboxEntry> = {}): OutboxEntry {
  position += 1
  return {
    position,
    status: 'local',
    outcome: null,
    settled: false,
    mutation: { id: testIds(), clientSeq: 0, table: 'tasks', rowId: testIds(), op: 'patch', at: 0, ...values },
    ...other,
  }
}

const ids = (entries: readonly OutboxEntry[]): readonly string[] => entries.map(({ mutation }) => mutation.id)

describe('a push', () => {
  const limits = { mutations: 3, bytes: 1e6 }

  test('takes writes in order up to the limit', () => {
    const queue = [entry(), entry(), entry(), entry()]
    expect(selectPush(queue, limits)).toEqual(queue.slice(0, 3))
  })

  test('never splits a group, even one above the limit', () => {
    const group = testIds()
    const grouped = Array.from({ length: 4 }, () => entry({ group }))
    expect(selectPush([entry(), ...grouped], limits)).toHaveLength(1)
    expect(selectPush([...grouped, entry()], limits)).toEqual(grouped)
  })

  test('keeps near the bytes, but takes at least one', () => {
    const big = (): OutboxEntry => entry({ set: { body: 'x'.repeat(1000) } })
    expect(selectPush([big(), big(), big()], { mutations: 100, bytes: 2500 })).toHaveLength(2)
    expect(selectPush([big(), big()], { mutations: 100, bytes: 10 })).toHaveLength(1)
  })

  test('is measured as the frame that is sent, which it never falls below', () => {
    const entries = [entry({ set: { body: '日本\u0007\ud800'.repeat(1000) } }), entry({ clientSeq: 0 })]
    const mutations = entries.map(({ mutation }, index) => ({ ...mutation, clientSeq: 2 ** 40 + index }))
    const frame = messageFrame({ type: 'push', mutations }).byteLength
    expect(pushBytes(entries)).toBeGreaterThanOrEqual(frame)
    expect(pushBytes(entries)).toBeLessThan(frame + 100)
  })
})

describe('dependencies', () => {
  const tasks = tableNamed('tasks')
  const rowId = testIds()
  const of = (
    pending: readonly OutboxEntry[],
    next: { op: 'patch' | 'increment' | 'delete' | 'insert'; set?: Record<string, string> },
  ): readonly string[] =>
    dependenciesOf(tasks, { rowId, ...next }, (ref) =>
      pending.filter(({ mutation }) => mutation.table === ref.table && mutation.rowId === ref.rowId),
    )

  test('are the insert of the row and patches of the same columns, not other columns or increments', () => {
    const insert = entry({ rowId, op: 'insert' })
    const title = entry({ rowId, set: { title: 'a' } })
    const body = entry({ rowId, set: { body: 'a' } })
    const count = entry({ rowId, op: 'increment', inc: { useCount: 1 } })
    const all = [insert, title, body, count]
    expect(of(all, { op: 'patch', set: { title: 'b' } })).toEqual(ids([insert, title]))
    expect(of(all, { op: 'increment' })).toEqual(ids([insert]))
    expect(of(all, { op: 'delete' })).toEqual(ids([insert, title, body]))
  })

  test('are the inserts of rows that are referred to', () => {
    const parent = entry({ op: 'insert' })
    const patch = entry({ rowId: parent.mutation.rowId, set: { title: 'x' } })
    expect(of([parent, patch], { op: 'insert', set: { parentId: parent.mutation.rowId, title: 'child' } })).toEqual(
      ids([parent]),
    )
  })

  test('are not writes that have ended or were refused', () => {
    expect(
      of(
        [
          entry({ rowId, op: 'insert' }, { settled: true }),
          entry({ rowId, set: { title: 'a' } }, { status: 'rejected' }),
        ],
        { op: 'patch', set: { title: 'b' } },
      ),
    ).toEqual([])
  })

  test('fall together with their groups', () => {
    const group = testIds()
    const [first, mate] = [entry({ group }), entry({ group })]
    const child = entry({ dependsOn: [mate.mutation.id] })
    const [other, sent] = [entry(), entry({ dependsOn: [first.mutation.id] }, { status: 'syncing' })]
    const fallen = closureOf([first.mutation.id], [first, mate, child, other, sent], ({ status }) => status === 'local')
    expect([...fallen].toSorted()).toEqual([...ids([first, mate, child])].toSorted())
  })

  test('and groups follow when writes get new ids', () => {
    const group = testIds()
    const first = entry({ group })
    const second = entry({ group, dependsOn: [first.mutation.id] })
    const [a, b] = withNewIds([first, second], testIds)
    expect(b?.entry.mutation.dependsOn).toEqual([a?.entry.mutation.id])
    expect(a?.entry.mutation.group).toBe(b?.entry.mutation.group)
    expect(a?.entry.mutation.group).not.toBe(group)
  })
})

describe('the outbox', () => {
  test('knows writes by row, by status, and whether they are referred to', () => {
    const outbox = new Outbox()
    const first = entry()
    const second = entry({ rowId: first.mutation.rowId, dependsOn: [first.mutation.id] })
    outbox.apply([first, second], [], () => null)
    expect(ids(outbox.ofRow(first.mutation))).toEqual(ids([first, second]))
    expect(outbox.isReferenced(first.mutation.id)).toBe(true)
    outbox.apply(
      [{ ...first, status: 'syncing', mutation: { ...first.mutation, clientSeq: 1 } }],
      [second.mutation.id],
      () => null,
    )
    expect(outbox.isReferenced(first.mutation.id)).toBe(false)
    expect([ids(outbox.syncing), ids([...outbox.local])]).toEqual([ids([first]), []])
    outbox.apply([], [first.mutation.id], () => null)
    expect([outbox.size, outbox.ofRow(first.mutation), outbox.pendingCount]).toEqual([0, [], 0])
  })

  test('sends in the order of the calls, also writes that got new ids', () => {
    const outbox = new Outbox()
    const entries = [entry(), entry(), entry()]
    outbox.apply(entries, [], () => null)
    const [first] = entries
    if (first === undefined) throw new Error('no entry')
    const renamed = { ...first, mutation: { ...first.mutation, id: testIds() } }
    outbox.apply([renamed], [first.mutation.id], () => null)
    expect(ids([...outbox.local])).toEqual(ids([renamed, ...entries.slice(1)]))
  })
})

test('the status of a row is what needs an eye first, then what has come least far', () => {
  const [local, syncing, acknowledged, rejected] = (['local', 'syncing', 'acknowledged', 'rejected'] as const).map(
    (status) => entry({}, { status }),
  )
  const all = [local, syncing, acknowledged, rejected].filter((one) => one !== undefined)
  expect(rowSync(all, 'c')).toEqual({ status: 'conflict', pending: 3, conflictId: 'c' })
  expect(rowSync(all, undefined)).toEqual({ status: 'rejected', pending: 3 })
  expect(rowSync(all.slice(0, 3), undefined)).toEqual({ status: 'local', pending: 3 })
  expect(rowSync(all.slice(1, 3), undefined)).toEqual({ status: 'syncing', pending: 2 })
  expect(rowSync(all.slice(2, 3), undefined)).toEqual({ status: 'acknowledged', pending: 1 })
  expect(rowSync([], undefined)).toEqual({ status: 'synced', pending: 0 })
})
