// 200 connections to one server, each following the same project: all are told, and how long that took is said. Speed
// is the benchmark's.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { insertRow } from '../../server/db/db.ts'
import { newId } from '../support/fixtures.ts'
import { RawClient } from '../support/raw-client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

const count = 200

let home: TestServer
beforeAll(async () => {
  home = await startTestServer()
})
afterAll(() => home.close())

/** A client that follows the tasks of the project, and has them. */
async function follower(token: string): Promise<RawClient> {
  const { client } = await RawClient.greeted(home.url, token)
  const channel = `project/${home.fixture.projectId}`
  client.send({
    type: 'subscribe',
    subscriptions: [{ id: 's', channel, tables: ['tasks'], embeddings: false, held: false }],
  })
  expect((await client.next('subscribed')).error).toBeUndefined()
  client.send({ type: 'page', subscription: 's', after: null })
  const page = await client.next('page')
  client.send({ type: 'activate', subscription: 's', from: page.from })
  await client.next('batch', ({ activated }) => activated.includes('s'))
  return client
}

test('a change arrives at each of 200 clients', async ({ annotate }) => {
  const token = await home.userToken(home.fixture.memberId)
  const clients: RawClient[] = []
  for (let n = 0; n < count; n += 20)
    clients.push(...(await Promise.all(Array.from({ length: 20 }, () => follower(token)))))
  const { organizationId, projectId } = home.fixture
  const times: number[] = []
  for (let n = 0; n < 3; n++) {
    const heard = clients.map(async (client) => {
      const batch = await client.next('batch', ({ blocks }) => blocks.length > 0)
      times.push(performance.now() - began)
      client.send({ type: 'ack', seq: batch.to })
    })
    const began = performance.now()
    await insertRow(home.server.database.pool, 'tasks', {
      id: newId(),
      organization_id: organizationId,
      project_id: projectId,
      title: `Task ${n}`,
    })
    await Promise.all(heard)
  }
  expect(times).toHaveLength(count * 3)
  const [median = 0] = times.toSorted((a, b) => a - b).slice(times.length / 2)
  await annotate(`The median of ${times.length} arrivals was ${Math.round(median)} ms.`)
  for (const client of clients) client.close()
}, 240_000)
