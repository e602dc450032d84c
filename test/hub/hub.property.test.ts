// Random commits, access changes and clients that come, go, stall and reconnect anywhere, against an oracle that
// computes what each must hold from scratch. Every batch of every client is compared.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { createHub } from '../../server/hub/hub.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { MemoryFeed, type StoredRow } from './memory-feed.ts'
import { ModelClient } from './model-client.ts'

const id = (...parts: string[]): string => uuidFromKey('test', parts)

const columns: TableDescriptor['columns'] = {
  id: { name: 'id', type: 'uuid' },
  version: { name: 'version', type: 'integer' },
  status: { name: 'status', type: 'text' },
  embedding: { name: 'embedding', type: 'vector', dimension: 2, nullable: true },
}
const tables = new Map(
  ['tasks', 'notes', 'project_members'].map((name): [string, TableDescriptor] => [
    name,
    {
      name,
      direction: 'rw',
      policy: 'merge',
      writers: ['member'],
      scope: { kind: 'row' },
      columns:
        name === 'project_members'
          ? {
              ...columns,
              userId: { name: 'user_id', type: 'uuid' },
              projectId: { name: 'project_id', type: 'uuid' },
              deletedAt: { name: 'deleted_at', type: 'timestamptz', nullable: true },
            }
          : columns,
    },
  ]),
)

const organizations = [id('o1'), id('o2')] as const
const users = [id('u1'), id('u2'), id('u3')]
const projects = [id('p1'), id('p2')] as const
const channels = [
  `organization/${organizations[0]}`,
  ...projects.map((project) => `project/${project}`),
  `user/${users[0]}`,
]
const everyAccess = (user: string): ReadonlySet<string> => new Set([...channels.slice(0, 3), `user/${user}`])

type Op =
  | {
      readonly kind: 'put'
      readonly row: number
      readonly table: 'tasks' | 'notes'
      readonly homes: readonly number[]
      readonly status: string
      /** The row is deleted before, in the same commit. */
      readonly replaces: boolean
    }
  | { readonly kind: 'delete'; readonly row: number }
  | { readonly kind: 'access'; readonly user: number; readonly project: number; readonly granted: boolean }
  | { readonly kind: 'mark' | 'canary' }
  | { readonly kind: 'connect'; readonly client: number; readonly back: number }
  | { readonly kind: 'disconnect' | 'ack' | 'stage' | 'verify' | 'home'; readonly client: number }
  | { readonly kind: 'subscribe' | 'unsubscribe'; readonly client: number; readonly which: number }
  | { readonly kind: 'turn'; readonly turns: number }

const client = fc.nat({ max: 3 })
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      row: fc.nat({ max: 5 }),
      table: fc.constantFrom('tasks' as const, 'notes' as const),
      homes: fc.uniqueArray(fc.nat({ max: 3 }), { minLength: 1, maxLength: 2 }),
      status: fc.constantFrom('a', 'b'),
      replaces: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), row: fc.nat({ max: 5 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('access' as const),
      user: fc.nat({ max: 1 }),
      project: fc.nat({ max: 1 }),
      granted: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('mark' as const, 'canary' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('connect' as const), client, back: fc.nat({ max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('disconnect' as const, 'verify' as const), client }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('home' as const), client }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constantFrom('ack' as const, 'stage' as const, 'stage' as const), client }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('subscribe' as const, 'subscribe' as const, 'unsubscribe' as const),
      client,
      which: fc.nat({ max: 5 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('turn' as const), turns: fc.integer({ min: 1, max: 6 }) }) },
)

const subscriptions: readonly [Subscription, ...Subscription[]] = [
  { id: 's0', channel: channels[0] ?? '', embeddings: false },
  { id: 's1', channel: channels[1] ?? '', embeddings: false },
  { id: 's2', channel: channels[2] ?? '', embeddings: true },
  { id: 's3', channel: channels[1] ?? '', embeddings: false, where: { tasks: { status: 'a' } } },
  { id: 's4', channel: channels[3] ?? '', embeddings: false, tables: ['notes'] },
  {
    id: 's5',
    channel: channels[2] ?? '',
    embeddings: false,
    where: { notes: { status: { ne: 'a' } }, tasks: { status: 'b' } },
  },
]

test('every batch brings every client to the exact state at its position, and all arrive', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.nat({ max: 4 }),
      fc.array(op, { minLength: 10, maxLength: 70, size: 'max' }),
      run,
    ),
    {
      numRuns: Number(process.env['TIDEWIRE_RUNS'] ?? 150),
    },
  )
}, 120_000)

async function run(scheduler: fc.Scheduler, warm: number, ops: readonly Op[]): Promise<void> {
  const feed = new MemoryFeed(tables, () => scheduler.schedule(Promise.resolve()))
  feed.commit({ access: new Map(users.map((user) => [user, everyAccess(user)])) })
  const hub = createHub({
    feed,
    source: feed,
    clock: systemClock,
    log: silentLog,
    catalog: { byName: new Map([...tables].map(([name, descriptor]) => [name, { descriptor }])) },
    limits: {
      windowBatches: 3,
      partRows: 2,
      ringChanges: 6,
      concurrentCatchUps: 2,
      concurrentPages: 1,
      pageRows: 2,
      gatherMs: 0,
      longestGatherMs: 0,
      idleGatherMs: 0,
    },
  })
  const turn = async (): Promise<boolean> => {
    await new Promise((resolve) => setImmediate(resolve))
    if (scheduler.count() === 0) return false
    await scheduler.waitOne()
    return true
  }
  const settle = async (): Promise<void> => {
    while (await turn());
  }
  const started = hub.start()
  await settle()
  await started
  const clients = [users[0], users[1], users[0], users[2]].map(
    (user, index) =>
      new ModelClient(hub, feed, {
        organizationId: index === 3 ? organizations[1] : organizations[0],
        kind: 'user',
        id: user ?? '',
        deviceId: id('device', String(index)),
      }),
  )
  // Most begin with something to lose.
  for (const [index, one] of clients.slice(0, warm).entries()) {
    const connected = one.connect(0)
    await settle()
    await connected
    for (const which of [index, index + 2, 5]) one.subscribe(subscriptions[which] ?? subscriptions[0])
    await bringHome(one, settle, 8)
  }
  const failures: unknown[] = []
  const world = { feed, hub, clients, turn, versions: new Map<string, number>(), marks: [] as string[] }
  for (const one of ops) await perform(one, world, failures)
  await settle()
  for (const one of clients) await bringHome(one, settle)
  for (const failure of [...failures, ...clients.flatMap((one) => one.failures)]) throw failure
  for (const one of clients) {
    if (!one.session) continue
    expect(one.actual()).toEqual(one.expected())
    expect([...one.followed.values()].every(({ state }) => state === 'held')).toBe(true)
  }
  feed.commit({ canary: true })
  const frontiers = clients.map((one) => one.frontiers)
  await settle()
  clients.forEach((one, index) => one.session && expect(one.frontiers, 'live again').toBe((frontiers[index] ?? 0) + 1))
  const stopped = hub.stop()
  await settle()
  await stopped
}

interface World {
  readonly feed: MemoryFeed
  readonly clients: readonly ModelClient[]
  readonly turn: () => Promise<boolean>
  readonly versions: Map<string, number>
}

async function perform(one: Op, { feed, clients, turn, versions }: World, failures: unknown[]): Promise<void> {
  const chosen = 'client' in one ? clients[one.client] : undefined
  switch (one.kind) {
    case 'put': {
      const key = id('row', String(one.row))
      const version = one.replaces ? 1 : (versions.get(key) ?? 0) + 1
      versions.set(key, version)
      const put: StoredRow = {
        table: one.row % 2 === 0 ? 'tasks' : 'notes',
        row: { id: key, version, status: one.status, embedding: new Float32Array([version, feed.newest.seq]) },
        homes: one.homes.map((home) => channels[home] ?? ''),
        organizationId: one.row === 5 ? organizations[1] : organizations[0],
      }
      feed.commit({ puts: [put] })
      return
    }
    case 'delete': {
      const key = `${one.row % 2 === 0 ? 'tasks' : 'notes'}/${id('row', String(one.row))}`
      if (!feed.newest.rows.has(key)) return
      // A purged row that comes again starts over.
      versions.delete(id('row', String(one.row)))
      feed.commit({ deletes: [key] })
      return
    }
    case 'access': {
      const user = users[one.user] ?? ''
      const project = projects[one.project] ?? ''
      const key = id('member', user, project)
      const version = (versions.get(key) ?? 0) + 1
      versions.set(key, version)
      const mine = new Set(feed.newest.access.get(user))
      if (one.granted) mine.add(`project/${project}`)
      else mine.delete(`project/${project}`)
      const row = {
        id: key,
        version,
        status: '',
        embedding: null,
        userId: user,
        projectId: project,
        deletedAt: one.granted ? null : 'then',
      }
      const put: StoredRow = {
        table: 'project_members',
        row,
        homes: [`project/${project}`],
        organizationId: organizations[0],
      }
      feed.commit({ puts: [put], access: new Map([...feed.newest.access, [user, mine]]) })
      return
    }
    case 'mark':
      feed.commit({
        marks: clients.map(({ principal }) => ({
          deviceId: principal.deviceId,
          mutationId: id('m', String(feed.newest.seq)),
        })),
      })
      return
    case 'canary':
      feed.commit({ canary: true })
      return
    case 'connect':
      chosen?.connect(one.back).catch((error: unknown) => failures.push(error))
      return
    case 'disconnect':
      chosen?.disconnect()
      return
    case 'ack':
      chosen?.ack()
      return
    case 'stage':
      chosen?.advanceStaging().catch((error: unknown) => failures.push(error))
      return
    case 'verify':
      chosen?.verify()
      return
    case 'subscribe': {
      const subscription = subscriptions[one.which]
      if (subscription) chosen?.subscribe(subscription)
      return
    }
    case 'unsubscribe':
      chosen?.unsubscribe(`s${one.which}`)
      return
    case 'home':
      for (let round = 0; chosen && round < 8; round++) {
        chosen.ack()
        chosen.advanceStaging().catch((error: unknown) => failures.push(error))
        await turn()
        await turn()
      }
      return
    case 'turn':
      for (let index = 0; index < one.turns; index++) await turn()
  }
}

/** Lets a client finish what it began. */
async function bringHome(one: ModelClient, settle: () => Promise<void>, rounds = 60): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    one.ack()
    void one.advanceStaging()
    await settle()
  }
}
