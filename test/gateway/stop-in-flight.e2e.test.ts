// A stop and the requests of HTTP that it finds in flight.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { startTestServer } from '../support/server.ts'

/** A request of which the body is not there yet; `rest` sends it. */
async function begun(url: string, body: string): Promise<{ readonly socket: Socket; readonly rest: () => void }> {
  const { port } = new URL(url)
  const socket = connect({ host: '127.0.0.1', port: Number(port) })
  await once(socket, 'connect')
  socket.write(
    `POST /auth/refresh HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nexpect: 100-continue\r\n\r\n`,
  )
  // The server has begun with it.
  await once(socket, 'data')
  return { socket, rest: () => void socket.write(body) }
}

async function textOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('a request in flight is answered before the server ends', async () => {
  const test = await startTestServer()
  const { socket, rest } = await begun(test.url, JSON.stringify({ refreshToken: 'unknown' }))
  const closed = test.close()
  rest()
  expect(await textOf(socket)).toContain('token_invalid')
  await closed
})

test('a request that never ends keeps no server from ending', async () => {
  const test = await startTestServer()
  const { socket } = await begun(test.url, '{}')
  const text = textOf(socket).catch(() => '')
  await test.close()
  expect(await text).toBe('')
}, 60_000)
