import { connect, type Client } from '@tidewire/client'
import { afterAll, beforeAll, beforeEach, afterEach, expect, test } from 'vitest'
import { newId } from '../support/fixtures.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

let server: TestServer
let tide: Client

beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())
beforeEach(async () => {
  tide = await connect({
    url: server.url,
    token: 'not-a-token',
    replica: { kind: 'memory' },
    device: { name: 'stranger', kind: 'cli' },
  })
})
afterEach(() => tide.close())

test('a client that the server refuses is told where it waits for its own channel', async () => {
  await expect(tide.subscribe({ organization: true })).rejects.toMatchObject({ code: 'token_invalid' })
  expect(tide.status).toMatchObject({ connection: 'stopped', error: { code: 'token_invalid' } })
})

test('and where it waits for rows', async () => {
  const followed = await tide.subscribe({ project: newId() })
  await expect(followed.ready).rejects.toMatchObject({ code: 'token_invalid' })
})

test('and where it waits for its writes, which it keeps', async () => {
  const task = await tide.tasks.insert({ projectId: newId(), title: 'Kept' })
  await expect(tide.synced()).rejects.toMatchObject({ code: 'token_invalid' })
  expect(await tide.tasks.get(task.id)).toMatchObject({ title: 'Kept', $sync: { status: 'local' } })
})
