import { expect, test } from 'vitest'
import { toSeq } from '../../protocol/seq.ts'
import { seededRandom } from '../../lib/random.ts'
import { emptyMeta, type OutboxEntry, type SubscriptionRecord } from '../store/store.ts'
import { channelA, channelB, follow, idOf, issue, note, vectorOf } from './contract-rows.ts'
import type { Subject } from './contract-subject.ts'

function entry(number: number, values: Partial<OutboxEntry> = {}): OutboxEntry {
  const mutation = {
    id: idOf(number),
    clientSeq: 0,
    table: 'issues',
    rowId: idOf(100),
    op: 'patch' as const,
    set: { title: 'new' },
    base: { title: 'old' },
    at: 5,
  }
  return { position: number, status: 'local', mutation, outcome: null, settled: false, ...values }
}

/** Everything but rows: meta, outbox, states, subscriptions. */
export function recordContract(subject: Subject): void {
  test('starts empty', async () => {
    expect(await subject.store.load()).toEqual({ meta: emptyMeta, outbox: [], states: [], subscriptions: [] })
  })

  test('merges meta field by field and keeps it', async () => {
    const cursor = { epoch: 'e1', seq: toSeq(2 ** 52 + 1) }
    await subject.store.commit({ meta: { fingerprint: 'f', clientSeq: 3, principal: { kind: 'agent', id: idOf(1) } } })
    await subject.store.commit({ meta: { cursor, clientSeq: 4 } })
    await subject.store.commit({ meta: { fingerprint: null } })
    const expected = { ...emptyMeta, cursor, clientSeq: 4, principal: { kind: 'agent', id: idOf(1) } }
    expect((await subject.store.load()).meta).toEqual(expected)
    expect((await (await subject.reopen()).load()).meta).toEqual(expected)
  })

  test('keeps outbox entries in the order of their positions, to the letter', async () => {
    const odd = { quote: '"\\', emoji: '\u{1f600}', number: 1e-7, list: [{ b: 1, a: null }] }
    const mutation = { ...entry(12).mutation, set: { meta: odd }, clientSeq: 7 }
    await subject.store.commit({ outbox: { puts: [entry(12, { mutation }), entry(2), entry(11)], deletes: [] } })
    const outcome = { mutationId: idOf(2), clientSeq: 1, kind: 'applied' as const, version: 2 }
    await subject.store.commit({
      outbox: { puts: [entry(2, { status: 'acknowledged', outcome, settled: true })], deletes: [idOf(11)] },
    })
    const { outbox } = await (await subject.reopen()).load()
    expect(outbox).toEqual([entry(2, { status: 'acknowledged', outcome, settled: true }), entry(12, { mutation })])
  })

  test('keeps ended writes among the outbox, in the place of the pending ones', async () => {
    const outcome = { mutationId: idOf(2), clientSeq: 1, kind: 'applied' as const }
    const pending = entry(2, { status: 'acknowledged', outcome })
    await subject.store.commit({ outbox: { puts: [pending, entry(3)], deletes: [] } })
    const ended = { ...pending, status: 'synced' as const, outcome, settled: true as const, endedAt: 1_763_000_000_000 }
    await subject.store.commit({ outbox: { puts: [ended], deletes: [] } })
    expect((await (await subject.reopen()).load()).outbox).toEqual([ended, entry(3)])
    await subject.store.commit({ outbox: { puts: [pending], deletes: [] } })
    expect((await (await subject.reopen()).load()).outbox).toEqual([pending, entry(3)])
  })

  test('keeps row states with their server images', async () => {
    const image = note(1, channelA, { embedding: vectorOf(seededRandom(1)), raw: 'AAEC/w==' })
    const states = [
      { table: 'issues', rowId: idOf(1), serverImage: issue(1, channelA, { exact: '0.1000000000' }) },
      { table: 'issues', rowId: idOf(2), serverImage: null },
      { table: 'notes', rowId: idOf(1), serverImage: image },
    ]
    await subject.store.commit({ states: { puts: states, deletes: [] } })
    expect(new Set((await (await subject.reopen()).load()).states)).toEqual(new Set(states))
    await subject.store.commit({
      states: {
        puts: [{ table: 'issues', rowId: idOf(2), serverImage: issue(2, channelB) }],
        deletes: [
          { table: 'notes', rowId: idOf(1) },
          { table: 'notes', rowId: idOf(2) },
        ],
      },
    })
    const left = (await subject.store.load()).states
    expect(new Set(left)).toEqual(
      new Set([states[0], { table: 'issues', rowId: idOf(2), serverImage: issue(2, channelB) }]),
    )
  })

  test('keeps subscriptions and how far their staging is', async () => {
    const first: SubscriptionRecord = {
      subscription: follow('a', channelA, { tables: ['issues'], where: { issues: { status: 'open' } } }),
      state: 'staging',
      from: 2 ** 40,
      next: 'page 2',
    }
    const second: SubscriptionRecord = {
      subscription: follow('b', channelB, { embeddings: false }),
      state: 'new',
      from: null,
      next: null,
    }
    await subject.store.commit({ subscriptions: { puts: [first, second], deletes: [] } })
    await subject.store.commit({ subscriptions: { puts: [{ ...second, state: 'held' }], deletes: [] } })
    expect((await (await subject.reopen()).load()).subscriptions).toEqual([first, { ...second, state: 'held' }])
    await subject.store.commit({ subscriptions: { puts: [], deletes: ['a'] } })
    expect((await subject.store.load()).subscriptions).toEqual([{ ...second, state: 'held' }])
  })
}
