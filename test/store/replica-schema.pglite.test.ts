import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { createPgliteStore } from '../../client-sdk/store/pglite-store.ts'
import { emptyMeta, type OutboxEntry, type ReplicaStore } from '../../client-sdk/store/store.ts'
import { channelA, follow, idOf, issue, note, pack, signal, thread } from '../../client-sdk/testing/contract-rows.ts'
import { contractSchema } from '../../client-sdk/testing/contract-schema.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import { toSeq } from '../../protocol/seq.ts'
import { updatedStore } from '../simulation/updated-store.ts'
import { sharePglite, type SharedPglite } from './fresh-pglite.ts'

let shared: SharedPglite

beforeAll(async () => {
  shared = await sharePglite()
})
afterAll(() => shared.close())
beforeEach(() => shared.wipe())

const open = (schema: Schema): Promise<ReplicaStore> => createPgliteStore({ schema, open: async () => shared.database })

const entry: OutboxEntry = {
  position: 1,
  status: 'local',
  outcome: null,
  settled: false,
  mutation: {
    id: idOf(99),
    clientSeq: 0,
    table: 'signals',
    rowId: idOf(5),
    op: 'insert',
    set: { kind: 'tick' },
    at: 1,
  },
}
const held = { subscription: follow('a', channelA), state: 'held' as const, from: null, next: null }
const image = issue(2, channelA, { title: 'server' })

/** `issues` has one column more, `notes` another type in one, `threads` is gone. */
const { threads: _threads, replies: _replies, ...others } = contractSchema
const { content: _content, ...noteColumns } = contractSchema.notes.columns
const changed: Schema = {
  ...others,
  issues: {
    ...contractSchema.issues,
    columns: { ...contractSchema.issues.columns, effort: { name: 'effort', type: 'integer', nullable: true } },
  },
  notes: {
    ...contractSchema.notes,
    columns: { ...noteColumns, content: { name: 'content', type: 'integer', nullable: true } },
  },
}

async function fill(store: ReplicaStore): Promise<void> {
  await store.commit({
    stage: { subscription: 'a', blocks: [pack('issues', [issue(7, channelA)])] },
    rows: [
      { table: 'issues', upserts: [issue(1, channelA), issue(2, channelA, { title: 'mine' })], deletes: [] },
      { table: 'notes', upserts: [note(3, channelA)], deletes: [] },
      { table: 'threads', upserts: [thread(4, channelA)], deletes: [] },
      { table: 'signals', upserts: [signal(5, channelA)], deletes: [] },
    ],
    outbox: { puts: [entry], deletes: [] },
    states: {
      puts: [
        { table: 'issues', rowId: idOf(2), serverImage: image },
        { table: 'notes', rowId: idOf(3), serverImage: null },
        { table: 'threads', rowId: idOf(4), serverImage: thread(4, channelA) },
      ],
      deletes: [],
    },
    subscriptions: {
      puts: [held, { ...held, subscription: follow('b', channelA), state: 'staging', from: 4, next: 'page' }],
      deletes: [],
    },
    meta: { fingerprint: 'f', deviceId: idOf(50), clientSeq: 8, cursor: { epoch: 'e', seq: toSeq(5) } },
  })
  await store.close()
}

test('keeps everything when the schema is the same', async () => {
  await fill(await open(contractSchema))
  const store = await open(contractSchema)
  expect((await store.load()).subscriptions).toContainEqual(held)
  expect(await store.query('issues', {})).toHaveLength(2)
  expect(await store.staged('a', 'issues', [idOf(7)])).toHaveLength(1)
})

test('starts over with another schema, but for what is pending here', async () => {
  await fill(await open(contractSchema))
  const store = await open(changed)
  const state = await store.load()
  expect(state.meta).toEqual({ ...emptyMeta, fingerprint: 'f', deviceId: idOf(50), clientSeq: 8 })
  expect(state.outbox).toEqual([entry])
  expect(state.subscriptions.map(({ state: now, from, next }) => [now, from, next])).toEqual([
    ['new', null, null],
    ['new', null, null],
  ])
  expect(state.states).toEqual([
    { table: 'issues', rowId: idOf(2), serverImage: image },
    { table: 'notes', rowId: idOf(3), serverImage: null },
  ])
  expect(await store.staged('a', 'issues', [idOf(7)])).toEqual([])
  expect(await store.query('issues', {})).toEqual([{ ...issue(2, channelA, { title: 'mine' }), effort: null }])
  // "Note 3" is no integer.
  expect(await store.query('notes', {})).toEqual([])
  expect(await store.query('signals', {})).toEqual([signal(5, channelA)])
})

test('finds what the store of an updated app holds in the simulation', async () => {
  const { effort } = changed['issues']?.columns ?? {}
  if (effort === undefined) throw new Error('The changed schema has no column effort.')
  const newer: Schema = {
    ...contractSchema,
    issues: { ...contractSchema.issues, columns: { ...contractSchema.issues.columns, effort } },
    reports: { ...contractSchema.notes, name: 'reports' },
  }
  const kept = createMemoryStore(contractSchema)
  await Promise.all([fill(kept), fill(await open(contractSchema))])
  const [simulated, real] = [await updatedStore(kept, newer), await open(newer)]
  expect(await simulated.load()).toEqual(await real.load())
  for (const { name } of Object.values(newer))
    expect(await simulated.query(name, {})).toEqual(await real.query(name, {}))
  expect(await simulated.staged('a', 'issues', [idOf(7)])).toEqual([])
})
