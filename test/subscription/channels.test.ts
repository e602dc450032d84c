import { expect, test } from 'vitest'
import { createClient, type Client } from '../../client-sdk/client.ts'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { seededRandom } from '../../lib/random.ts'
import { batchMessage, ScriptedServer } from '../connection/scripted-server.ts'
import { sure, welcome } from '../replica/open-replica.ts'
import { newId } from '../support/fixtures.ts'
import { ManualClock, settled } from '../support/manual-clock.ts'

async function live(): Promise<{ tide: Client; server: ScriptedServer; clock: ManualClock }> {
  const [server, clock] = [new ScriptedServer(), new ManualClock()]
  const tide = await createClient<typeof shippedSchema>({
    schema: shippedSchema,
    store: createMemoryStore(shippedSchema),
    clock,
    random: seededRandom(1),
    transport: server,
    token: () => Promise.resolve('token'),
    device: { name: 'scripted', kind: 'cli' },
  })
  await server.accept()
  await server.say(welcome({ resume: false }))
  return { tide, server, clock }
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
