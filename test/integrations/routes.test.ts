import { once } from 'node:events'
import { createServer, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import { createWebhookRoutes } from '../../server/integrations/routes.ts'

const keys = new Map([
  ['endpoint-of-ada-1', 'ada'],
  ['endpoint-of-ben-1', 'ben'],
])
let bodiesAwaited = 0
const route = createWebhookRoutes({
  inbound: {
    async find(key) {
      const organization = keys.get(key)
      if (organization === undefined) throw new TideError('not_found', 'There is no such webhook endpoint.')
      bodiesAwaited++
      const endpoint = {
        id: key,
        integration: key,
        project: null,
        provider: 'generic',
        secret: null,
        types: [],
      } as const
      return { ...endpoint, organization }
    },
    take: async (_endpoint, { body }) => ({ body: body.toString(), outcome: 'stored' }),
  },
  clock: systemClock,
  count: () => undefined,
  onStored: () => undefined,
})
const server = createServer((request, response) => {
  void route(request).then((reply) => {
    response.writeHead(reply?.status ?? 500)
    response.end(JSON.stringify(reply?.body))
  })
})
beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
const slow: ClientRequest[] = []
afterAll(() => {
  for (const request of slow) request.destroy()
  server.closeAllConnections()
  server.close()
})

/** Begins a webhook, and leaves its body open. */
function begin(key: string): ClientRequest {
  const { port } = server.address() as AddressInfo
  const request = httpRequest({ port, host: '127.0.0.1', path: `/webhooks/${key}`, method: 'POST', agent: false })
  request.on('error', () => undefined)
  request.write('{')
  slow.push(request)
  return request
}
async function statusOf(request: ClientRequest): Promise<number | undefined> {
  const answer = once(request, 'response')
  request.end('}')
  const [response] = (await answer) as [IncomingMessage]
  response.resume()
  return response.statusCode
}

test('senders that are slow stop neither those of other organizations nor, by guessing, anybody', async () => {
  const guesses = Array.from({ length: 40 }, () => once(begin('endpoint-of-nobody'), 'response'))
  for (const [response] of (await Promise.all(guesses)) as [IncomingMessage][]) expect(response.statusCode).toBe(404)
  for (let n = 0; n < 32; n++) begin('endpoint-of-ada-1')
  await expect.poll(() => bodiesAwaited).toBe(32)
  expect(await statusOf(begin('endpoint-of-ada-1'))).toBe(429)
  expect(await statusOf(begin('endpoint-of-ben-1'))).toBe(200)
})
