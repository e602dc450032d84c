import { afterAll, beforeAll, expect, it } from 'vitest'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { createPgliteStore } from '../../client-sdk/store/pglite-store.ts'
import type { StoreCommit } from '../../client-sdk/store/store.ts'
import {
  channelA,
  channelB,
  follow,
  idOf,
  issue,
  note,
  pack,
  pickFrom,
  reply,
  signal,
  thread,
  vectorOf,
} from '../../client-sdk/testing/contract-rows.ts'
import { contractSchema } from '../../client-sdk/testing/contract-schema.ts'
import { seededRandom, type Random } from '../../lib/random.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { sharePglite, type SharedPglite } from './fresh-pglite.ts'

let shared: SharedPglite

beforeAll(async () => {
  shared = await sharePglite()
})
afterAll(() => shared.close())

const subscriptions: readonly [Subscription, ...Subscription[]] = [
  follow('a', channelA),
  follow('b', channelB),
  follow('aThreads', channelA, { tables: ['threads', 'issues'] }),
  follow('aReplies', channelA, { tables: ['replies'], embeddings: false }),
  follow('bSome', channelB, { where: { threads: { title: 'x' }, issues: { status: 'open' } } }),
  follow('oneThread', `thread/${idOf(3)}`),
]

function someRows(random: Random): { table: keyof typeof contractSchema; rows: Row[] } {
  const table = pickFrom(random, ['issues', 'threads', 'replies', 'notes', 'signals'] as const)
  const number = (): number => Math.floor(random.next() * 12)
  const channel = (): string => pickFrom(random, [channelA, channelB])
  const make = {
    issues: () => issue(number(), channel(), { status: pickFrom(random, ['open', 'done']) }),
    threads: () => thread(number(), channel(), { title: pickFrom(random, ['x', 'y']) }),
    replies: () => reply(number(), number()),
    notes: () => note(number(), channel(), { embedding: random.next() < 0.5 ? vectorOf(random) : null }),
    signals: () => signal(number(), channel()),
  }[table]
  const byId = new Map(Array.from({ length: 1 + number() }, make).map((row) => [row['id'], row]))
  return { table, rows: [...byId.values()] }
}

function someCommit(random: Random): StoreCommit {
  const subset = (): Subscription[] => subscriptions.filter(() => random.next() < 0.4)
  const block = () => {
    const { table, rows } = someRows(random)
    return pack(table, rows, { embeddings: random.next() < 0.5 })
  }
  const one = pickFrom(random, subscriptions)
  const { table, rows } = someRows(random)
  const chance = (share: number): boolean => random.next() < share
  return {
    ...(chance(0.5) ? { stage: { subscription: one.id, blocks: [block(), block()] } } : {}),
    ...(chance(0.1) ? { unstage: [pickFrom(random, subscriptions).id] } : {}),
    ...(chance(0.3) ? { swaps: [{ subscription: pickFrom(random, subscriptions), others: subset() }] } : {}),
    ...(chance(0.05) ? { resets: [table] } : {}),
    ...(chance(0.3)
      ? { purges: [{ channel: one.channel, keep: subset(), ...(chance(0.3) ? { tables: [table, 'threads'] } : {}) }] }
      : {}),
    ...(chance(0.5) ? { blocks: [block(), block()] } : {}),
    ...(chance(0.5) ? { rows: [{ table, upserts: rows, deletes: [idOf(Math.floor(random.next() * 12))] }] } : {}),
  }
}

it.each([1, 2, 3, 4, 5, 6])(
  'holds the same rows as the memory store after every one of many random commits (seed %i)',
  async (seed) => {
    await shared.wipe()
    const random = seededRandom(seed)
    const memory = createMemoryStore(contractSchema)
    const pglite = await createPgliteStore({ schema: contractSchema, open: async () => shared.database })
    const ids = Array.from({ length: 12 }, (_, number) => idOf(number))
    for (let step = 0; step < 60; step++) {
      const commit = someCommit(random)
      await Promise.all([memory.commit(commit), pglite.commit(commit)])
      for (const table of Object.keys(contractSchema)) {
        const [mine, theirs] = [await memory.rows(table, ids), await pglite.rows(table, ids)]
        expect(theirs, `${table} after step ${step}`).toEqual(mine)
      }
      const { id } = pickFrom(random, subscriptions)
      expect(await pglite.staged(id, 'notes', ids)).toEqual(await memory.staged(id, 'notes', ids))
    }
  },
)
