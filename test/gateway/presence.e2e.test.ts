import { describe, expect, test } from 'vitest'
import { insertRow } from '../../server/db/db.ts'
import { newId } from '../support/fixtures.ts'
import { useGateway } from './use-gateway.ts'

const on = useGateway()
const { greeted } = on

describe('presence', () => {
  test('is seen by those who follow the channel, with the identity the server knows, and goes with the connection', async () => {
    const channel = `project/${on.home.fixture.projectId}`
    const [watching, typing] = [await greeted(), await greeted(await on.home.userToken(on.home.fixture.ownerId))]
    for (const { client } of [watching, typing]) {
      client.send({
        type: 'subscribe',
        subscriptions: [{ id: 'p', channel, tables: ['tasks'], embeddings: false, held: false }],
      })
      await client.next('subscribed')
    }
    typing.client.send({ type: 'presence', channel, state: { typing: true } })
    expect(await watching.client.next('present')).toEqual({
      type: 'present',
      channel,
      peers: [
        {
          deviceId: typing.welcome.deviceId,
          name: expect.any(String) as string,
          userId: on.home.fixture.ownerId,
          agentId: null,
          state: { typing: true },
        },
      ],
    })
    typing.client.close()
    expect((await watching.client.next('present')).peers).toEqual([])
  })

  test('ends with the access to the channel, whether its session follows that or not, and so does what a search finds', async () => {
    const { organizationId, ownerId, memberId } = on.home.fixture
    const { pool } = on.home.server.database
    const projectId = newId()
    const channel = `project/${projectId}`
    const own = { id: projectId, organization_id: organizationId, owner_user_id: ownerId, visibility: 'private' }
    await insertRow(pool, 'projects', { ...own, name: 'Private', slug: `private-${projectId}` })
    await insertRow(pool, 'project_members', {
      id: newId(),
      organization_id: organizationId,
      project_id: projectId,
      user_id: memberId,
    })
    await insertRow(pool, 'memories', {
      id: newId(),
      organization_id: organizationId,
      scope: 'project',
      project_id: projectId,
      content: 'The cellar is behind the shelf',
    })
    const [watching, going] = [await greeted(await on.home.userToken(ownerId)), await greeted()]
    const subscriptions = [{ id: 'p', channel, tables: ['tasks'], embeddings: false, held: false }]
    watching.client.send({ type: 'subscribe', subscriptions })
    await watching.client.next('subscribed')
    going.client.send({ type: 'presence', channel, state: {} })
    expect((await watching.client.next('present')).peers).toMatchObject([{ userId: memberId }])
    const search = async (ref: number): Promise<number> => {
      going.client.send({ type: 'search', ref, table: 'memories', text: 'cellar', limit: 5 })
      return (await going.client.next('found')).hits.length
    }
    expect(await search(1)).toBe(1)
    await pool.query('delete from project_members where project_id = $1', [projectId])
    expect((await watching.client.next('present')).peers).toEqual([])
    expect(await search(2)).toBe(0)
    going.client.send({ type: 'subscribe', subscriptions })
    expect((await going.client.next('subscribed')).error?.code).toBe('forbidden')
  })

  test('in a channel that is not open to the sender, too large, or too often is refused', async () => {
    const { client } = await greeted()
    client.send({ type: 'presence', channel: `user/${on.home.fixture.ownerId}`, state: {} })
    expect((await client.next('error')).error.code).toBe('forbidden')
    client.send({
      type: 'presence',
      channel: `organization/${on.home.fixture.organizationId}`,
      state: { text: 'x'.repeat(5000) },
    })
    expect((await client.next('error')).error.code).toBe('message_too_large')
    // What may be sent in ten seconds: a machine that is slow to take them gives some back.
    for (let index = 0; index < on.home.config.limits.presencePerSecond * 10; index++)
      client.send({ type: 'presence', channel: `organization/${on.home.fixture.organizationId}`, state: { index } })
    expect((await client.next('error')).error).toMatchObject({
      code: 'rate_limited',
      retryAfterMs: expect.any(Number) as number,
    })
  })
})
