import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { DownOf } from '../../protocol/messages/down.ts'
import { encodeFrame } from '../../protocol/frame.ts'
import { newId } from '../support/fixtures.ts'
import { helloOf, RawClient } from '../support/raw-client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

let home: TestServer

beforeAll(async () => {
  home = await startTestServer()
})
afterAll(async () => home.close())

const frames = 10_000

/** From noise to messages that are right but for one thing. */
const broken: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.json().map((text) => encodeFrame({ message: JSON.parse(text) as unknown, sections: [] })),
  fc
    .tuple(
      fc.constantFrom(
        'hello',
        'subscribe',
        'page',
        'push',
        'verify',
        'search',
        'presence',
        'call',
        'ack',
        'activate',
        'unsubscribe',
        'authenticate',
        'nonsense',
      ),
      fc.dictionary(fc.string({ maxLength: 12 }), fc.jsonValue()),
    )
    .map(([type, rest]) => encodeFrame({ message: { ...rest, type }, sections: [] })),
  fc
    .tuple(fc.uint8Array({ maxLength: 50 }), fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 255 }))
    .map(([section, at, value]) => {
      const frame = encodeFrame({ message: { type: 'ack', seq: 1 }, sections: [section] })
      frame[at % frame.length] = value
      return frame
    }),
  fc
    .nat({ max: 30_000 })
    .map((depth) =>
      encodeFrame({ message: { type: 'call', ref: 1, id: '', action: 'a', input: nested(depth) }, sections: [] }).slice(
        0,
        100_000,
      ),
    ),
)

function nested(depth: number): unknown {
  // Deep enough to hurt whoever walks it, not so deep that making the frame overflows the stack here.
  let value: unknown = 1
  for (let level = 0; level < Math.min(depth, 2000); level++) value = [value]
  return value
}

test('a hostile socket with ten thousand broken frames gets coded errors only, while an honest client beside it is served', async () => {
  const { fixture, url } = home
  const token = await home.userToken(fixture.memberId)
  const { client: honest } = await RawClient.greeted(url, token)
  const seed = Number(process.env['TEST_SEED'] ?? 20261122)
  const attack = fc.sample(broken, { numRuns: frames, seed })
  const device = helloOf(token)
  const codes = new Map<string, number>()
  let connections = 0
  let sent = 0

  const hostile = async (): Promise<void> => {
    while (sent < frames) {
      const client = await RawClient.connect(url)
      connections += 1
      client.send(device)
      await client.next('welcome')
      for (let chunk = 1; sent < frames && !client.isClosed; chunk++) {
        // Below the limit of bad frames in a row at first, then beyond it, so that the server cuts the connection.
        const next = attack.slice(sent, sent + (chunk < 10 ? 15 : 40))
        sent += next.length
        for (const frame of next) client.sendBytes(frame)
        for (const { error } of await untilAnswered(client, 1_000_000 + sent))
          codes.set(error.code, (codes.get(error.code) ?? 0) + 1)
      }
      client.close()
    }
  }

  let served = 0
  let done = false
  const serve = async (): Promise<void> => {
    while (!done) {
      served += 1
      const mutation = {
        id: newId(),
        clientSeq: served,
        table: 'tasks',
        rowId: newId(),
        op: 'insert' as const,
        set: { projectId: fixture.projectId, title: `task ${served}` },
        at: 0,
      }
      honest.send({ type: 'push', mutations: [mutation] })
      const { outcomes } = await honest.next('outcomes')
      expect(outcomes).toMatchObject([{ mutationId: mutation.id, kind: 'applied' }])
    }
  }

  await Promise.all([hostile().finally(() => (done = true)), serve()])
  expect(sent).toBe(frames)
  expect(codes.get('internal')).toBeUndefined()
  expect([...codes.keys()].sort()).toEqual(expect.arrayContaining(['bad_frame', 'bad_message']))
  expect(connections).toBeGreaterThan(10)
  expect(served).toBeGreaterThan(100)
  expect(honest.isClosed).toBe(false)
  const { rows } = await home.server.database.pool.query<{ count: number }>(
    `select count(*)::integer as count from tasks where project_id = $1`,
    [fixture.projectId],
  )
  expect(rows[0]?.count).toBe(served)
  expect((await fetch(`${url}/ready`)).status).toBe(200)
  honest.close()
}, 300_000)

/** All errors up to the answer to one good request behind them, or up to the end of the connection. */
async function untilAnswered(client: RawClient, mark: number): Promise<readonly DownOf<'error'>[]> {
  const errors: DownOf<'error'>[] = []
  client.send({ type: 'call', ref: mark, id: newId(), action: 'no.such', input: null })
  for (;;) {
    const error = await client.next('error').catch(() => undefined)
    if (error === undefined || error.ref === mark) return errors
    errors.push(error)
  }
}
