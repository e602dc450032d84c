import { afterAll, beforeAll, expect, test } from 'vitest'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { createPgliteStore } from '../../client-sdk/store/pglite-store.ts'
import type { StoreCommit } from '../../client-sdk/store/store.ts'
import {
  board,
  channelA,
  channelB,
  conflict,
  follow,
  guestChannel,
  idOf,
  issue,
  member,
  note,
  pack,
  pickFrom,
  reader,
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

const guests = [
  guestChannel('user', 1),
  guestChannel('user', 2),
  guestChannel('agent', 3),
  guestChannel('team', 4),
] as const

const subscriptions: readonly [Subscription, ...Subscription[]] = [
  follow('a', channelA),
  follow('b', channelB),
  follow('aThreads', channelA, { tables: ['threads', 'issues'] }),
  follow('aReplies', channelA, { tables: ['replies'], embeddings: false }),
  follow('bSome', channelB, { where: { threads: { title: 'x' }, issues: { status: 'open' } } }),
  follow('oneThread', `thread/${idOf(3)}`),
  follow('ada', guestChannel('user', 1)),
  follow('adaSome', guestChannel('user', 1), {
    tables: ['threads', 'replies', 'boards', 'conflicts'],
    where: { threads: { title: 'x' } },
  }),
  follow('bob', guestChannel('user', 2)),
  follow('scout', guestChannel('agent', 3)),
  follow('crew', guestChannel('team', 4)),
  follow('board', `project/${idOf(5)}`),
]

function someRows(random: Random): { table: keyof typeof contractSchema; rows: Row[] } {
  const table = pickFrom(random, [
    'issues',
    'threads',
    'readers',
    'replies',
    'notes',
    'members',
    'boards',
    'conflicts',
    'signals',
  ] as const)
  const number = (): number => Math.floor(random.next() * 12)
  const channel = (): string => pickFrom(random, [channelA, channelB])
  const guest = (): string => pickFrom(random, guests)
  const left = (): Row => ({ deletedAt: random.next() < 0.2 ? '2026-11-22T01:42:36.123Z' : null })
  const owner = (): Row => ({ ownerId: random.next() < 0.3 ? idOf(1) : null })
  const elsewhere = (): Row => (random.next() < 0.3 ? { channel: channel() } : {})
  const make = {
    issues: () => issue(number(), channel(), { status: pickFrom(random, ['open', 'done']) }),
    threads: () => thread(number(), channel(), { title: pickFrom(random, ['x', 'y']) }),
    readers: () => reader(number(), number(), guest(), left()),
    replies: () => reply(number(), number()),
    members: () => member(number(), number(), guest(), left()),
    boards: () => board(number(), { ...owner(), ...elsewhere() }),
    conflicts: () => conflict(number(), pickFrom(random, [channelA, channelB, `thread/${idOf(number())}`])),
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
    ...(chance(0.2) ? { outdated: [{ table: 'threads', ids: [0, 1, 2, 3, 4].map(idOf), held: subset() }] } : {}),
    ...(chance(0.5) ? { blocks: [block(), block()] } : {}),
    ...(chance(0.5) ? { rows: [{ table, upserts: rows, deletes: [idOf(Math.floor(random.next() * 12))] }] } : {}),
  }
}

test.each([1, 2, 3, 4, 5, 6])(
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
