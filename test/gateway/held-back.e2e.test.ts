// Clients that send or ask for more than they may: they are held back, and the others are not.
import { describe, expect, test } from 'vitest'
import type { RawClient } from '../support/raw-client.ts'
import { useGateway } from './use-gateway.ts'

const on = useGateway()
const { greeted } = on

describe('the rate of a connection', () => {
  const bad = new Uint8Array([1, 2, 3])
  const presence = (state: object) => ({
    type: 'presence' as const,
    channel: `organization/${on.home.fixture.organizationId}`,
    state: { ...state },
  })
  const floods: readonly (readonly [string, (client: RawClient, index: number) => void])[] = [
    ['presence', (client, index) => client.send(presence({ index }))],
    [
      'broken frames among good ones',
      (client) => {
        client.send({ type: 'ack', seq: 0 })
        client.sendBytes(bad)
      },
    ],
  ]

  test.for(floods)('ends it when too many come: %s', async ([, send]) => {
    const { client } = await greeted()
    // Five times the burst: a machine that is slow to take them gives some back.
    for (let index = 0; index < on.home.config.limits.messageBurst * 5; index++) send(client, index)
    const { error } = await client.next('error', ({ fatal }) => fatal)
    expect(error).toMatchObject({ code: 'rate_limited', retryAfterMs: expect.any(Number) as number })
    await client.closed
  })

  test('is not that of acknowledgements, which follow what the server sends', async () => {
    const { client } = await greeted()
    for (let index = 0; index < on.home.config.limits.messageBurst * 5; index++) client.send({ type: 'ack', seq: 0 })
    client.send({ type: 'search', ref: 1, table: 'access_tokens', text: 'x', limit: 10 })
    expect(await client.next('error')).toMatchObject({ ref: 1, fatal: false })
  })
})

describe('a client that does not read', () => {
  const channel = (): string => `project/${on.home.fixture.projectId}`
  const subscribe = (client: RawClient): void =>
    client.send({
      type: 'subscribe',
      subscriptions: [{ id: 's', channel: channel(), tables: ['tasks'], embeddings: false, held: false }],
    })

  test('is sent a few pages however many it asks for, while another one has its first rows', async () => {
    // More than a page, and of a kind that cannot be packed: 4 MB.
    await on.home.server.database.pool.query(
      `insert into tasks (id, organization_id, project_id, title, description)
       select gen_random_uuid(), $1, $2, 'big', (select string_agg(md5(random()::text || n || part), '') from generate_series(1, 120) part)
       from generate_series(1, 1000) n`,
      [on.home.fixture.organizationId, on.home.fixture.projectId],
    )
    const { client: deaf } = await greeted()
    subscribe(deaf)
    await deaf.next('subscribed')
    deaf.stopReading()
    const asked = 300
    const ask = async (): Promise<void> => {
      for (let n = 0; n < asked; n++) {
        deaf.send({ type: 'page', subscription: 's', after: null })
        // Slowly enough for each to be read, were they not held back.
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
    const asking = ask()
    const { client: honest } = await greeted()
    subscribe(honest)
    honest.send({ type: 'page', subscription: 's', after: null })
    expect((await honest.next('page')).next).not.toBeNull()
    await asking
    deaf.read()
    await expect.poll(() => deaf.count('page') + deaf.count('error'), { timeout: 60_000 }).toBe(asked)
    const pages = deaf.count('page')
    expect(await deaf.next('error')).toMatchObject({ subscription: 's', error: { code: 'rate_limited' } })
    // How many depends on what the kernel takes in between.
    expect(pages).toBeGreaterThan(0)
    expect(pages).toBeLessThan(asked / 4)
    deaf.send({ type: 'page', subscription: 's', after: null })
    await expect.poll(() => deaf.count('page'), { timeout: 60_000 }).toBe(pages + 1)
  }, 180_000)
})
