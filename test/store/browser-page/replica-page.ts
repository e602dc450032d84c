// The page of browser-store.browser.test.ts: puts a replica at the hands of the test.
import { TideError } from '../../../protocol/error.ts'
import { openStore } from '../../../client-sdk/store/open-store.ts'
import type { ReplicaStore } from '../../../client-sdk/store/store.ts'
import { channelA, follow, idOf, issue, note, pack } from '../../../client-sdk/testing/contract-rows.ts'
import { contractSchema } from '../../../client-sdk/testing/contract-schema.ts'

let store: ReplicaStore | undefined

export interface ReplicaPage {
  open(name: string): Promise<void>
  /** 1,000 rows through staging and 10 writes, then one commit that says how far it came. */
  fill(): Promise<void>
  write(number: number): Promise<void>
  /** Large writes from this number on, until one is refused; answers how many were taken, and the code. */
  writeUntilFull(from: number): Promise<{ readonly taken: number; readonly code: string }>
  read(): Promise<ReplicaContent>
  close(): Promise<void>
}

export interface ReplicaContent {
  readonly issues: number
  readonly title: unknown
  readonly outbox: readonly number[]
  readonly clientSeq: number
  readonly subscriptions: number
  readonly nearest: string | undefined
}

function opened(): ReplicaStore {
  if (store === undefined) throw new Error('No replica is open.')
  return store
}

function entry(position: number) {
  const mutation = {
    id: idOf(position),
    clientSeq: 0,
    table: 'issues',
    rowId: idOf(position),
    op: 'patch' as const,
    set: { title: 'é' },
    at: 1,
  }
  return { position, status: 'local' as const, mutation, outcome: null, settled: false }
}

const page: ReplicaPage = {
  open: async (name) => {
    store = await openStore({ kind: 'pglite', name }, contractSchema)
  },
  fill: async () => {
    const rows = Array.from({ length: 1000 }, (_, index) => issue(index, channelA))
    const notes = Array.from({ length: 50 }, (_, index) =>
      note(index, channelA, { embedding: Float32Array.from({ length: 8 }, (__, at) => Math.sin(index + at * at)) }),
    )
    const subscription = follow('a', channelA)
    await opened().commit({ stage: { subscription: 'a', blocks: [pack('issues', rows), pack('notes', notes)] } })
    await opened().commit({
      swaps: [{ subscription, others: [] }],
      subscriptions: { puts: [{ subscription, state: 'held', from: null, next: null }], deletes: [] },
    })
    await Promise.all(Array.from({ length: 10 }, (_, index) => page.write(index + 1)))
  },
  write: async (number) => {
    await opened().commit({
      rows: [{ table: 'issues', upserts: [{ id: idOf(number), title: 'é' }], deletes: [] }],
      outbox: { puts: [entry(number)], deletes: [] },
      meta: { clientSeq: number },
    })
  },
  writeUntilFull: async (from) => {
    for (let taken = 0; taken < 100; taken++) {
      const bytes = crypto.getRandomValues(new Uint8Array(60_000))
      const title = Array.from({ length: 10 }, () => btoa(String.fromCharCode(...bytes))).join('')
      try {
        await opened().commit({
          rows: [{ table: 'issues', upserts: [{ id: idOf(from + taken), title }], deletes: [] }],
          outbox: { puts: [entry(from + taken)], deletes: [] },
          meta: { clientSeq: from + taken },
        })
      } catch (error) {
        return { taken, code: error instanceof TideError ? error.code : String(error) }
      }
    }
    return { taken: 100, code: 'none' }
  },
  read: async () => {
    const { meta, outbox, subscriptions } = await opened().load()
    const vector = Float32Array.from({ length: 8 }, (_, at) => Math.sin(17 + at * at))
    const [hit] = await opened().nearest('notes', { column: 'embedding', vector, limit: 1 })
    const [first] = await opened().rows('issues', [idOf(1)])
    return {
      issues: (await opened().query('issues', {})).length,
      title: first?.['title'],
      outbox: outbox.map(({ position }) => position),
      clientSeq: meta.clientSeq,
      subscriptions: subscriptions.length,
      nearest: hit?.row['id'] === idOf(17) ? 'note 17' : String(hit?.row['id']),
    }
  },
  close: () => opened().close(),
}

Object.assign(globalThis, { replicaPage: page })
