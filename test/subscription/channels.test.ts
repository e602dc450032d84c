import { expect, test } from 'vitest'
import { createClient, type Client } from '../../client-sdk/client.ts'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import type { ReplicaStore } from '../../client-sdk/store/store.ts'
import { seededRandom } from '../../lib/random.ts'
import { packRows } from '../../protocol/rows/block-codec.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { batchMessage, ScriptedServer } from '../connection/scripted-server.ts'
import { sure, welcome } from '../replica/open-replica.ts'
import { newId } from '../support/fixtures.ts'
import { ManualClock, settled } from '../support/manual-clock.ts'

interface Told {
  readonly tide: Client
  readonly server: ScriptedServer
  readonly clock: ManualClock
}

async function open(store: ReplicaStore = createMemoryStore(shippedSchema), token = 'token'): Promise<Told> {
  const [server, clock] = [new ScriptedServer(), new ManualClock()]
  const tide = await createClient<typeof shippedSchema>({
    schema: shippedSchema,
    store,
    clock,
    random: seededRandom(1),
    transport: server,
    token: () => Promise.resolve(token),
    device: { name: 'scripted', kind: 'cli' },
  })
  return { tide, server, clock }
}

async function live(store?: ReplicaStore): Promise<Told> {
  const told = await open(store)
  await told.server.accept()
  await told.server.say(welcome({ resume: false }))
  return told
}

async function again({ server, clock }: Told): Promise<void> {
  await server.cut()
  await clock.advance(1000)
  await server.accept()
  await server.say(welcome())
}

/** A task as the server sends it: columns that no test looks at are null. */
function serverTask(projectId: string, createdAt = '2026-11-21T00:00:00.000Z'): Row {
  const columns = Object.keys(shippedSchema.tasks.columns).map((name) => [name, null])
  return {
    ...Object.fromEntries(columns),
    id: newId(),
    organizationId: welcome().organizationId,
    channel: `project/${projectId}`,
    version: 1,
    createdAt,
    updatedAt: createdAt,
    projectId,
    title: 'a task',
    status: 'pending',
    priority: 'medium',
  }
}

const full = { code: 'subscription_limit', message: 'full', remedy: '' } as const

/** The server takes a subscription and sends these rows as its full state. */
async function fill({ server }: Told, id: string, to: number, tasks: readonly Row[] = []): Promise<void> {
  const blocks = tasks.length === 0 ? [] : [packRows(shippedSchema.tasks, tasks, { embeddings: false })]
  await server.say({ type: 'subscribed', id })
  await server.say({ type: 'page', subscription: id, from: to, next: null, blocks: [] }, blocks)
  await server.say(batchMessage(to, { activated: [id] }))
  await server.say({ type: 'frontier', seq: to, at: 0 })
}

async function announced({ server }: Told): Promise<readonly string[]> {
  return (await server.heardOf('subscribe')).flatMap(({ subscriptions }) => subscriptions.map(({ id }) => id))
}

test('two channels that are unsubscribed at once are both gone, and can be followed anew', async () => {
  const { tide } = await live()
  const [one, two] = [newId(), newId()]
  const before = tide.status.channels.length
  const followed = [await tide.subscribe({ project: one }), await tide.subscribe({ project: two })]
  const left = Promise.all(followed.map((channel) => channel.unsubscribe()))
  const again = tide.subscribe({ project: two })
  await left
  expect((await again).state).toBe('bootstrapping')
  expect(tide.status.channels.slice(before)).toEqual([{ channel: `project/${two}`, state: 'bootstrapping' }])
  await (await again).unsubscribe()
  expect(tide.status.channels).toHaveLength(before)
  await tide.close()
})

test('a channel that was refused is followed like any other when the server takes it later', async () => {
  const { tide, server, clock } = await live()
  const followed = await tide.subscribe({ project: newId() })
  const { id } = followed
  const error = { code: 'subscription_limit', message: 'full', remedy: '' } as const
  await server.say({ type: 'subscribed', id, error })
  expect(followed.state).toBe('revoked')
  await expect(followed.ready).rejects.toMatchObject(error)
  await server.cut()
  await clock.advance(1000)
  await server.accept()
  await server.say(welcome({ resume: false }))
  expect(followed.state).toBe('revoked')
  await server.say({ type: 'subscribed', id })
  await settled()
  expect(followed.state).toBe('bootstrapping')
  await server.say({ type: 'page', subscription: id, from: 1, next: null, blocks: [] })
  await server.say(batchMessage(1, { activated: [id] }))
  await server.say({ type: 'frontier', seq: 1, at: 0 })
  expect(followed.state).toBe('live')
  expect(sure(tide.status.channels.find(({ channel }) => channel === followed.channel)).state).toBe('live')
  await tide.close()
})

test('a channel that is refused for good keeps no write from being synced', async () => {
  const { tide, server, clock } = await live()
  const refused = await tide.subscribe({ project: newId() })
  /** Takes every channel but that one. */
  const answer = async (): Promise<void> => {
    const asked = (await server.heardOf('subscribe')).flatMap(({ subscriptions }) => subscriptions)
    expect(asked.map(({ id }) => id)).toContain(refused.id)
    const error = { code: 'subscription_limit', message: 'full', remedy: '' } as const
    for (const { id, held } of asked) {
      await server.say({ type: 'subscribed', id, ...(id === refused.id ? { error } : {}) })
      if (held || id === refused.id) continue
      await server.say({ type: 'page', subscription: id, from: 1, next: null, blocks: [] })
      await server.say(batchMessage(1, { activated: [id] }))
    }
  }
  await answer()
  await tide.tasks.insert({ projectId: newId(), title: 'Mine' })
  const [push] = await server.heardOf('push')
  const { id: mutationId, clientSeq } = sure(push?.mutations[0])
  await server.say({ type: 'outcomes', outcomes: [{ mutationId, clientSeq, kind: 'applied' }] })
  await server.cut()
  await clock.advance(1000)
  await server.accept()
  await server.say(welcome({ clientSeq: 1 }))
  await answer()
  expect(tide.status.pending).toBe(1)
  await server.say({ type: 'frontier', seq: 1, at: 0 })
  expect(tide.status.pending).toBe(0)
  await tide.close()
})

test('each subscribe answers a handle of its own, and the rows stay until the last is given up', async () => {
  const told = await live()
  const projectId = newId()
  const [one, two] = [
    await told.tide.subscribe({ project: projectId }),
    await told.tide.subscribe({ project: projectId }),
  ]
  const states: string[] = []
  one.onState((state) => states.push(`one ${state}`))
  two.onState((state) => states.push(`two ${state}`))
  await fill(told, one.id, 1, [serverTask(projectId)])
  await one.unsubscribe()
  await one.unsubscribe()
  await settled()
  expect([one.state, two.state]).toEqual(['unsubscribed', 'live'])
  expect(await told.tide.tasks.find()).toHaveLength(1)
  await two.unsubscribe()
  await settled()
  expect(await told.tide.tasks.find()).toHaveLength(0)
  expect(states.filter((state) => !state.endsWith('stale'))).toEqual([
    'one live',
    'two live',
    'one unsubscribed',
    'two unsubscribed',
  ])
  expect(told.tide.followed().some(({ id }) => id === one.id)).toBe(false)
  await told.tide.close()
})

test('a handle that is given up waits no more, while the other goes on to wait', async () => {
  const told = await live()
  const target = { project: newId() }
  const [one, two] = [await told.tide.subscribe(target), await told.tide.subscribe(target)]
  const waits = Promise.allSettled([one.ready, two.ready])
  await one.unsubscribe()
  await fill(told, two.id, 1)
  expect(await waits).toMatchObject([{ status: 'rejected', reason: { code: 'closed' } }, { status: 'fulfilled' }])
  await told.tide.close()
})

test('what was asked for under a key is replaced by what is asked for under it later, once that is here', async () => {
  const told = await live()
  const projectId = newId()
  const since = (time: string) =>
    told.tide.subscribe({ project: projectId }, { key: 'recent', where: { tasks: { createdAt: { gte: time } } } })
  const [former, latter] = [serverTask(projectId, '2026-11-10T00:00:00.000Z'), serverTask(projectId)]
  const first = await since('2026-11-01T00:00:00.000Z')
  await fill(told, first.id, 1, [former])
  expect(first).toMatchObject({ key: 'recent', state: 'live' })
  const second = await since('2026-11-08T00:00:00.000Z')
  expect([first.state, second.state]).toEqual(['live', 'bootstrapping'])
  expect((await told.tide.tasks.find()).map(({ id }) => id)).toEqual([former['id']])
  const third = await since('2026-11-15T00:00:00.000Z')
  expect([first.state, second.state, third.state]).toEqual(['live', 'unsubscribed', 'bootstrapping'])
  await fill(told, third.id, 2, [latter])
  expect([first.state, third.state]).toEqual(['unsubscribed', 'live'])
  expect((await told.tide.tasks.find()).map(({ id }) => id)).toEqual([latter['id']])
  expect(told.tide.followed().filter(({ key }) => key === 'recent')).toMatchObject([{ id: third.id }])
  expect((await told.server.heardOf('unsubscribe')).map(({ id }) => id)).toEqual([second.id, first.id])
  await told.tide.close()
})

test('what was followed in earlier runs can be seen and ended', async () => {
  const store = createMemoryStore(shippedSchema)
  const before = await live(store)
  const projectId = newId()
  const { id } = await before.tide.subscribe({ project: projectId }, { tables: ['tasks'], key: 'old' })
  await fill(before, id, 1, [serverTask(projectId)])
  await before.tide.close()
  const { tide } = await open(store)
  const found = sure(tide.followed().find((followed) => followed.id === id))
  expect(found).toMatchObject({ channel: `project/${projectId}`, key: 'old', tables: ['sync_conflicts', 'tasks'] })
  expect(await tide.tasks.find()).toHaveLength(1)
  await found.unsubscribe()
  expect(await tide.tasks.find()).toHaveLength(0)
  expect(tide.followed().some((followed) => followed.id === id)).toBe(false)
  await tide.close()
})

test('where the server takes only some, those that were asked for in this run come first', async () => {
  const store = createMemoryStore(shippedSchema)
  const before = await live(store)
  const ids = [newId(), newId(), newId()]
  for (const project of ids) await before.tide.subscribe({ project })
  await before.tide.close()
  const told = await open(store)
  const last = sure(ids.at(-1))
  const wanted = await told.tide.subscribe({ project: last })
  await told.server.accept()
  await told.server.say(welcome({ resume: false }))
  const asked = await announced(told)
  // The own channel and `global` are asked for in every run.
  expect(asked.indexOf(wanted.id)).toBeLessThan(3)
  expect(asked).toHaveLength(5)
  // One that nobody asked for makes room for one that somebody asks for later.
  const other = await told.tide.subscribe({ project: newId() })
  expect(await announced(told)).toEqual([other.id])
  await told.server.say({ type: 'subscribed', id: other.id, error: full })
  const heard = await told.server.heard()
  expect(heard).toMatchObject([{ type: 'unsubscribe' }, { type: 'subscribe', subscriptions: [{ id: other.id }] }])
  expect(other.state).toBe('bootstrapping')
  await fill(told, other.id, 1)
  expect(other.state).toBe('live')
  await told.tide.close()
})

test('a refused channel that is asked for again is asked of the server again, in the same session', async () => {
  const told = await live()
  const target = { project: newId() }
  const refused = await told.tide.subscribe(target)
  await announced(told)
  await told.server.say({ type: 'subscribed', id: refused.id, error: full })
  await expect(refused.ready).rejects.toMatchObject(full)
  expect(await announced(told)).toEqual([])
  const later = await told.tide.subscribe(target)
  expect(await announced(told)).toEqual([refused.id])
  expect([refused.state, later.state]).toEqual(['bootstrapping', 'bootstrapping'])
  await fill(told, later.id, 1)
  await Promise.all([later.ready, refused.ready])
  expect(refused.state).toBe('live')
  await told.tide.close()
})

test('when one is unsubscribed, those that found no room are asked for again', async () => {
  const told = await live()
  const [one, two] = [await told.tide.subscribe({ project: newId() }), await told.tide.subscribe({ project: newId() })]
  await fill(told, one.id, 1)
  await told.server.say({ type: 'subscribed', id: two.id, error: full })
  await announced(told)
  await one.unsubscribe()
  expect(await announced(told)).toEqual([two.id])
  await told.tide.close()
})

test('one that was held and is refused is fetched anew when it is taken: meanwhile it missed changes', async () => {
  const told = await live()
  const projectId = newId()
  const { id } = await told.tide.subscribe({ project: projectId })
  await fill(told, id, 1, [serverTask(projectId)])
  await announced(told)
  await again(told)
  await told.server.say({ type: 'subscribed', id, error: full })
  await told.server.say(batchMessage(5))
  await again(told)
  const asked = (await told.server.heardOf('subscribe')).at(-1)?.subscriptions
  expect(asked?.find((one) => one.id === id)).toMatchObject({ held: false })
  expect(await told.tide.tasks.find()).toHaveLength(1)
  await told.tide.close()
})

test('a client that goes on after it was refused makes channels ready that were not', async () => {
  const told = await live()
  const followed = await told.tide.subscribe({ project: newId() })
  const end = { code: 'device_revoked', message: 'no', remedy: '' } as const
  await told.server.say({ type: 'error', fatal: true, error: end })
  await expect(followed.ready).rejects.toMatchObject(end)
  told.tide.connect()
  await told.server.accept()
  await told.server.say(welcome({ resume: false }))
  await fill(told, followed.id, 1)
  await followed.ready
  expect(followed.state).toBe('live')
  await told.tide.close()
})

test('the own channels are followed again by the next connection when their access was lost for a while', async () => {
  const told = await live()
  const { tide, server } = told
  const own = (): readonly string[] => tide.followed().map(({ channel }) => channel)
  const before = own()
  expect(before).toHaveLength(2)
  const leaves = before.map((channel) => ({ channel, revoked: true }))
  await server.say(batchMessage(1, { leaves }))
  await settled()
  expect(own()).toEqual([])
  await again(told)
  await settled()
  expect(own()).toEqual(before)
  await tide.close()
})
