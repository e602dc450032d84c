import { connect, type Client } from '@tidewire/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestServer, type TestServer } from '../support/server.ts'

const messageBytes = 300_000
let server: TestServer
let tide: Client

beforeAll(async () => {
  server = await startTestServer({ limits: { messageBytes } })
  const token = await server.userToken(server.fixture.memberId)
  tide = await connect({
    url: server.url,
    token,
    replica: { kind: 'memory' },
    device: { name: 'large', kind: 'cli' },
  })
  tide.disconnect()
})
afterAll(async () => {
  await tide.close()
  await server.close()
})

test('what was written before the limits were known is parked when the server takes less, and the rest arrives', async () => {
  const { projectId } = server.fixture
  const one = await tide.tasks.insert({ projectId, title: 'Large', description: 'x'.repeat(messageBytes) })
  const two = await tide.transaction(async (tx) => {
    // Three bytes each: fewer characters than the server takes bytes.
    for (const title of ['A', 'B', 'C']) await tx.tasks.insert({ projectId, title, description: '日'.repeat(50_000) })
  })
  const child = await tide.tasks.insert({ projectId, title: 'Child', parentTaskId: one.id })
  const small = await tide.tasks.insert({ projectId, title: 'Small', description: '日'.repeat(50_000) })
  tide.connect()
  await small.$write.wait('acknowledged')
  expect(await small.$write.outcome).toMatchObject({ kind: 'applied' })
  const rejected = await tide.writes.find({ status: 'rejected' })
  expect(rejected.map(({ rowId, outcome }) => [rowId, outcome?.error?.code])).toEqual([
    [one.id, 'message_too_large'],
    ...two.map(() => [expect.any(String), 'message_too_large']),
    [child.id, 'dependency_rejected'],
  ])
  await expect(two[0]?.wait('acknowledged')).rejects.toMatchObject({ code: 'message_too_large' })
  // A retry is answered with the write that goes on, under its new id.
  const refusedId = two[0]?.id ?? ''
  expect(await tide.writes.retry(refusedId)).toBe(two[0])
  expect(two[0]?.id).not.toBe(refusedId)
  await expect(two[0]?.wait('acknowledged')).rejects.toMatchObject({ code: 'message_too_large' })
  await tide.writes.discard(one.id === rejected[0]?.rowId ? rejected[0].id : '')
  expect(await tide.tasks.get(one.id)).toBeUndefined()
})

test('what is more than the server takes is refused at the call, and leaves nothing', async () => {
  const { projectId } = server.fixture
  const before = (await tide.writes.find()).length
  const large = { projectId, title: 'Large', description: '日'.repeat(messageBytes / 3) }
  await expect(tide.tasks.insert(large)).rejects.toMatchObject({
    code: 'message_too_large',
    message: expect.stringMatching(/300\d\d\d bytes .* 300000/),
  })
  const three = tide.transaction(async (tx) => {
    for (const title of ['A', 'B', 'C']) await tx.tasks.insert({ projectId, title, description: 'x'.repeat(100_000) })
  })
  await expect(three).rejects.toMatchObject({ code: 'message_too_large' })
  expect(await tide.writes.find()).toHaveLength(before)
})
