// Races between the live loop and single sessions, each as one fixed history. The property test next door found them,
// one of them only in 25,000 runs.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { Seq } from '../../protocol/seq.ts'
import type { AccessAnswer, AdvanceRequest, Step, TooFar } from '../../server/hub/feed.ts'
import { createHub, type Hub } from '../../server/hub/hub.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { keyOf, MemoryFeed, type StoredRow } from './memory-feed.ts'
import { ModelClient } from './model-client.ts'

/** Holds back an answer once. */
class Gate {
  #next: { readonly taken: () => void; readonly released: Promise<void> } | null = null

  /** Resolves when the next answer is there; what it resolves with lets it through. */
  hold(): Promise<() => void> {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    return new Promise((resolve) => {
      this.#next = { taken: () => resolve(release), released }
    })
  }

  async pass(): Promise<void> {
    const next = this.#next
    this.#next = null
    next?.taken()
    await next?.released
  }
}

/** Holds back what it has read: whatever happens then is not in it. */
class SlowFeed extends MemoryFeed {
  readonly #steps = new Gate()
  readonly #accesses = new Gate()
  #isLookHeld = false

  /** Of the live loop, with something in it. */
  holdNextStep(): Promise<() => void> {
    return this.#steps.hold()
  }

  /** Of the live loop, whatever is in it. */
  holdNextLook(): Promise<() => void> {
    this.#isLookHeld = true
    return this.#steps.hold()
  }

  holdNextAccess(): Promise<() => void> {
    return this.#accesses.hold()
  }

  override async access(principal: DevicePrincipal): Promise<AccessAnswer> {
    const answer = await super.access(principal)
    await this.#accesses.pass()
    return answer
  }

  override async advance(from: Seq, request: AdvanceRequest): Promise<Step | TooFar> {
    const step = await super.advance(from, request)
    if (request.watchAccess && (step.to > from || this.#isLookHeld)) {
      this.#isLookHeld = false
      await this.#steps.pass()
    }
    return step
  }
}

const id = (...parts: string[]): string => uuidFromKey('test', parts)
const [organizationId, project] = [id('o'), id('p')]
const [ada, ben] = [id('ada'), id('ben')]
const channel = `project/${project}`

const columns: TableDescriptor['columns'] = {
  id: { name: 'id', type: 'uuid' },
  version: { name: 'version', type: 'integer' },
  userId: { name: 'user_id', type: 'uuid', nullable: true },
  projectId: { name: 'project_id', type: 'uuid', nullable: true },
  deletedAt: { name: 'deleted_at', type: 'timestamptz', nullable: true },
}
const tables = new Map(
  ['tasks', 'projects', 'project_members'].map((name): [string, TableDescriptor] => [
    name,
    {
      name,
      direction: 'rw',
      policy: 'merge',
      writers: ['member'],
      scope: { kind: 'row' },
      columns,
    },
  ]),
)

let feed = new SlowFeed(tables)
let hub: Hub
const clients: ModelClient[] = []

beforeEach(async () => {
  feed = new SlowFeed(tables)
  feed.commit({
    access: new Map([
      [ada, new Set([channel])],
      [ben, new Set([channel])],
    ]),
  })
  const byName = new Map([...tables].map(([name, descriptor]) => [name, { descriptor }]))
  const limits = { pageRows: 2, gatherMs: 0, longestGatherMs: 0, idleGatherMs: 0 }
  hub = createHub({
    feed,
    source: feed,
    clock: systemClock,
    log: silentLog,
    catalog: { byName },
    limits,
  })
  await hub.start()
})

afterEach(async () => {
  for (const client of clients.splice(0)) client.disconnect()
  await hub.stop()
})

function stored(
  table: string,
  key: string,
  version: number,
  values: Readonly<Record<string, string | null>> = {},
): StoredRow {
  const row = { id: id(key), version, userId: null, projectId: null, deletedAt: null, ...values }
  return { table, row, homes: [channel], organizationId }
}

async function connected(user: string, device: string): Promise<ModelClient> {
  const client = new ModelClient(hub, feed, {
    kind: 'user',
    id: user,
    organizationId,
    deviceId: id(device),
  })
  clients.push(client)
  await client.connect(0)
  return client
}

/** Everything that waits for no gate has happened. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Follows the project, and holds it. */
async function hold(client: ModelClient): Promise<void> {
  client.subscribe({ id: 's', channel, embeddings: false })
  for (let round = 0; round < 10; round++) {
    await quiet()
    client.ack()
    await client.advanceStaging()
  }
  expect(client.followed.get('s')?.state).toBe('held')
}

test('a session that joins the live loop while a step is being read that takes its access is not given that step', async () => {
  const [first, second] = [await connected(ada, 'one'), await connected(ben, 'two')]
  await hold(first)
  await hold(second)
  // It comes back, and the snapshot of its access is taken. Only then its access is lost.
  const heldAccess = feed.holdNextAccess()
  const back = second.connect(0)
  const releaseAccess = await heldAccess
  const heldStep = feed.holdNextStep()
  feed.commit({
    puts: [
      stored('tasks', 'a', 1),
      stored('project_members', 'm', 1, { userId: ben, projectId: project, deletedAt: 'then' }),
    ],
    access: new Map([
      [ada, new Set([channel])],
      [ben, new Set()],
    ]),
  })
  // The step asks for the access of those who follow the project: it follows nothing yet, and joins before the step is
  // dealt with.
  const releaseStep = await heldStep
  releaseAccess()
  await back
  await quiet()
  releaseStep()
  await quiet()
  // The client compares itself, and its access, with the history at every batch.
  expect(second.failures).toEqual([])
  expect([...second.followed.keys()]).toEqual([])
  expect([...second.rows.keys()]).toEqual([])
  expect([...first.rows.keys()]).toHaveLength(2)
})

/**
 * A client that has the first of many pages, and asks for the next one; the live loop is held at a commit that the page
 * shows.
 */
async function aheadOfTheLoop(access?: MemoryFeed['newest']['access']) {
  const keys = Array.from({ length: 15 }, (_, index) => `task ${index}`)
  feed.commit({ puts: keys.map((key) => stored('tasks', key, 1)) })
  await quiet()
  const client = await connected(ada, 'one')
  client.subscribe({ id: 's', channel, embeddings: false })
  await quiet()
  const held = feed.holdNextStep()
  const member = stored('project_members', 'm', 1, { userId: ada, projectId: project })
  feed.commit({
    puts: [...keys.map((key) => stored('tasks', key, 2)), member],
    ...(access === undefined ? {} : { access }),
  })
  const release = await held
  const asking = client.advanceStaging()
  await quiet()
  return { client, release, asking }
}

test('a page waits until the live loop has passed all that it shows, and the load ends with the newest rows', async () => {
  const { client, release, asking } = await aheadOfTheLoop()
  expect(client.followed.get('s')?.staged.size).toBe(0)
  release()
  await asking
  expect(client.followed.get('s')?.staged.size).toBeGreaterThan(0)
  while (await client.advanceStaging()) await quiet()
  client.ack()
  await quiet()
  // The client compares itself with the history at every batch.
  expect(client.failures).toEqual([])
  expect([...client.rows.values()].filter(({ version }) => version === 2)).toHaveLength(15)
})

test('a page that shows what was committed with a loss of access is not sent', async () => {
  const { client, release, asking } = await aheadOfTheLoop(new Map([[ada, new Set<string>()]]))
  release()
  await asking
  await quiet()
  expect(client.followed.has('s')).toBe(false)
  expect(client.pages).toBe(0)
})

test('what is committed after a token has ended is sent to nobody who goes by it', async () => {
  const look = Promise.withResolvers<void>()
  const clients = [await connected(ada, 'one'), await connected(ben, 'two')]
  for (const client of clients) await hold(client)
  const [of, other] = clients
  if (!of || !other) throw new Error('There are two.')
  of.tokenLook = look.promise
  const has = (client: ModelClient, key: string): boolean => client.rows.has(keyOf('tasks', id(key)))
  feed.commit({ puts: [stored('tasks', 'with it', 1)], credentials: [ada] })
  await quiet()
  feed.commit({ puts: [stored('tasks', 'after it', 1)] })
  await quiet()
  expect([has(of, 'with it'), has(of, 'after it')]).toEqual([false, false])
  expect([has(other, 'with it'), has(other, 'after it')]).toEqual([true, true])
  look.resolve()
  await quiet()
  expect([has(of, 'with it'), has(of, 'after it')]).toEqual([true, true])
  expect(clients.flatMap(({ failures }) => failures)).toEqual([])
})

test('a session that reads for itself is not sent what the live loop has not looked at, nor before its token is', async () => {
  const look = Promise.withResolvers<void>()
  const client = await connected(ada, 'one')
  await hold(client)
  client.tokenLook = look.promise
  const held = feed.holdNextStep()
  feed.commit({ puts: [stored('tasks', 'a', 1)], credentials: [ada] })
  const release = await held
  // What is counted is counted in a snapshot of its own.
  client.verify()
  await quiet()
  expect(client.rows.size).toBe(0)
  release()
  await quiet()
  expect(client.rows.size).toBe(0)
  look.resolve()
  await quiet()
  expect(client.rows.size).toBe(1)
  expect(client.failures).toEqual([])
})

test('a session that was away while its access was taken and given back is told nothing of the time between', async () => {
  const [first, second] = [await connected(ada, 'one'), await connected(ben, 'two')]
  await hold(first)
  await hold(second)
  second.disconnect()
  const membership = (version: number, deletedAt: string | null) =>
    stored('project_members', 'm', version, { userId: ben, projectId: project, deletedAt })
  for (const [version, isMember] of [true, false, true].entries()) {
    feed.commit({
      puts: [stored('tasks', 'a', version + 1), membership(version + 1, isMember ? null : 'then')],
      access: new Map([
        [ada, new Set([channel])],
        [ben, new Set(isMember ? [channel] : [])],
      ]),
    })
    await quiet()
  }
  await second.connect(0)
  await quiet()
  // The client compares its access with the history at every batch.
  expect(second.failures).toEqual([])
  expect([...second.rows.values()].map(({ version }) => version)).toEqual([3, 3])
})

test('a session that hears of its access before the live loop sees a loss is taken the channel all the same', async () => {
  const client = await connected(ada, 'one')
  await hold(client)
  const held = feed.holdNextLook()
  feed.wake()
  const release = await held
  feed.commit({
    puts: [stored('projects', 'p', 1), stored('tasks', 'with the loss', 1)],
    access: new Map([[ada, new Set<string>()]]),
  })
  // For a channel that is unknown its access is read anew.
  client.subscribe({ id: 'other', channel: `user/${ben}`, embeddings: false })
  await quiet()
  release()
  await quiet()
  feed.commit({ puts: [stored('tasks', 'after it', 1)] })
  await quiet()
  expect(client.failures).toEqual([])
  expect([client.followed.has('s'), client.rows.size]).toEqual([false, 0])
})

test('a session is told that it is current only by a step that began after it came: another server may have answered a write since the one before', async () => {
  const client = await connected(ada, 'one')
  await hold(client)
  client.disconnect()
  const held = feed.holdNextLook()
  feed.wake()
  const release = await held
  feed.commit({ puts: [stored('tasks', 'a', 1)] })
  const before = client.frontiers
  await client.connect(0)
  await quiet()
  expect([client.rows.size, client.frontiers]).toEqual([0, before])
  release()
  await quiet()
  expect([client.rows.size, client.frontiers]).toEqual([1, before + 1])
})

test('a session whose log is pruned in the middle of its load begins anew, at once, with pages of after that', async () => {
  // More pages than are read ahead.
  const keys = Array.from({ length: 15 }, (_, index) => `task ${index}`)
  feed.commit({ puts: keys.map((key) => stored('tasks', key, 1)) })
  await quiet()
  const client = await connected(ada, 'one')
  client.subscribe({ id: 's', channel, embeddings: false })
  await quiet()
  await client.advanceStaging()
  await quiet()
  // What the first page has shown goes: with a gap it would stay.
  feed.prunedThrough = feed.commit({ deletes: [keyOf('tasks', id('task 0'))] })
  while (await client.advanceStaging()) await quiet()
  await quiet()
  expect(client.ended).toBe('cursor_too_old')
  await client.connect(0)
  await hold(client)
  // The client compares itself with the history at every batch.
  expect(client.failures).toEqual([])
  expect(client.ended).toBeNull()
  expect(client.rows.size).toBe(keys.length - 1)
})

test('a step that is too big to read lets every session look at its token', async () => {
  const clients = [await connected(ada, 'one'), await connected(ben, 'two')]
  for (const client of clients) await hold(client)
  expect(clients.map(({ credentialsAsked }) => credentialsAsked)).toEqual([0, 0])
  feed.maxKeys = 0
  feed.commit({ puts: [stored('tasks', 'a', 1)] })
  await expect.poll(() => clients.map(({ credentialsAsked }) => credentialsAsked > 0)).toEqual([true, true])
})

test('a step that was read from a position that has been replaced meanwhile sets no position', async () => {
  const first = await connected(ada, 'one')
  await hold(first)
  const kept = feed.newest.seq
  for (const version of [1, 2, 3]) {
    feed.commit({ puts: [stored('tasks', 'a', version)] })
    await quiet()
  }
  const before = hub.stats().position
  feed.restore(kept, 'restored')
  const held = feed.holdNextLook()
  feed.wake()
  const release = await held
  // Another server has told this device of the restored database.
  const session = await hub.open({
    principal: { kind: 'user', id: ben, organizationId, deviceId: id('two') },
    cursor: { epoch: 'restored', seq: kept },
    credentialsChanged: () => Promise.resolve(),
    send: () => undefined,
    ended: () => undefined,
  })
  expect(session.resume).toBe(true)
  expect(hub.stats().position).toBe(kept)
  release()
  await quiet()
  expect(hub.stats().position).toBe(kept)
  await first.connect(0)
  await hold(first)
  expect(feed.commit({ puts: [stored('tasks', 'b', 1)] })).toBeLessThan(before)
  await quiet()
  expect(first.failures).toEqual([])
  expect([...first.rows.keys()]).toEqual([keyOf('tasks', id('b'))])
  session.close()
})
