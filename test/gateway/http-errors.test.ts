import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { errorCodes } from '../../protocol/error-codes.ts'
import { createHttpHandler } from '../../server/gateway/http.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'

const broken = (): Promise<never> => Promise.reject(new Error('The secret of the house.'))
const server = createServer(
  createHttpHandler({
    readiness: broken,
    systemHealth: broken,
    metrics: { contentType: 'text/plain', text: broken },
    log: silentLog,
    routes: [],
  }),
)
let url = ''

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

test.each([
  ['GET', '/nowhere?a=b', 404, 'not_found', 'There is nothing at /nowhere.'],
  ['POST', '/nowhere', 404, 'not_found', 'There is nothing at /nowhere.'],
  ['POST', '/ready', 405, 'bad_message', '/ready takes GET, and this is a POST.'],
  ['GET', '/health/system', 500, 'internal', 'The request failed inside the server.'],
])('%s %s is answered with code, sentence and remedy', async (method, path, status, code, message) => {
  const response = await fetch(`${url}${path}`, { method })
  expect(response.status).toBe(status)
  expect(await response.json()).toEqual({ error: { code, message, remedy: expect.stringMatching(/.{5}/) } })
  expect(errorCodes).toHaveProperty(code)
})
