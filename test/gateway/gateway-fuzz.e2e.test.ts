import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { DownOf } from '../../protocol/messages/down.ts'
import type { Mutation } from '../../protocol/messages/mutation.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { encodeFrame } from '../../protocol/frame.ts'
import { newId } from '../support/fixtures.ts'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { helloOf, RawClient } from '../support/raw-client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

let home: TestServer

beforeAll(async () => {
  home = await startTestServer()
})
afterAll(async () => home.close())

const frames = 10_000
/** Writes of the honest client that must get through meanwhile. */
const enough = 25
/**
 * Tables that change when an honest client connects and writes tasks, and the one where the server notes its vitals
 * each minute.
 */
const written = new Set(['tasks', 'devices', 'system_metrics'])

/**
 * What is in each table that a client may write to, and in some that none may ever: the server writes to others by
 * itself.
 */
async function digests(): Promise<ReadonlyMap<string, string>> {
  const { pool } = home.server.database
  const writable = Object.values(shippedSchema).filter(({ direction }) => direction !== 'ro')
  const tables = [...writable.map(({ name }) => name), 'users', 'user_credentials', 'access_tokens']
  const found = new Map<string, string>()
  for (const name of tables) {
    const { rows } = await pool.query<{ digest: string }>(
      `select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) as digest from "${name}" t`,
    )
    found.set(name, rows[0]?.digest ?? '')
  }
  return found
}

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
  const before = await digests()
  const serve = async (): Promise<void> => {
    // Beside the attack, however fast this machine is.
    while (!done || served < enough) {
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
      // Who is honest keeps the rate, also on a quick machine.
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  await Promise.all([hostile().finally(() => (done = true)), serve()])
  expect(sent).toBe(frames)
  expect(codes.get('internal')).toBeUndefined()
  expect([...codes.keys()].sort()).toEqual(expect.arrayContaining(['bad_frame', 'bad_message']))
  expect(connections).toBeGreaterThan(10)
  expect(served).toBeGreaterThanOrEqual(enough)
  expect(honest.isClosed).toBe(false)
  // What the honest client wrote, and nothing else, in any table.
  const after = await digests()
  const changed = [...after].filter(([table, digest]) => before.get(table) !== digest).map(([table]) => table)
  expect(changed.filter((table) => !written.has(table))).toEqual([])
  const { rows } = await home.server.database.pool.query<{ titles: readonly string[] }>(
    `select array_agg(title) as titles from tasks where organization_id = $1`,
    [fixture.organizationId],
  )
  expect(new Set(rows[0]?.titles)).toEqual(new Set(Array.from({ length: served }, (_, index) => `task ${index + 1}`)))
  await expect.poll(async () => (await fetch(`${url}/ready`)).status, { timeout: 60_000 }).toBe(200)
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

test('messages that are right but for what they ask change nothing, and each is answered with a code', async () => {
  const { fixture, url } = home
  const token = await home.userToken(fixture.memberId)
  const stranger = { organizationId: newId(), projectId: newId() }
  const { client } = await RawClient.greeted(url, token)
  const task = { table: 'tasks', op: 'insert', set: { projectId: fixture.projectId, title: 'wrong' } } as const
  const wrong: readonly (readonly [Partial<Mutation> & Pick<Mutation, 'table' | 'op'>, string])[] = [
    [{ ...task, set: { ...task.set, projectId: stranger.projectId } }, 'foreign_key_violated'],
    [{ ...task, set: { ...task.set, nothing: 1 } }, 'unknown_column'],
    [{ ...task, set: { ...task.set, status: 'sleeping' } }, 'invalid_value'],
    [{ ...task, set: { ...task.set, title: 'x'.repeat(100_000) } }, 'invalid_value'],
    [{ ...task, at: Date.now() + 48 * 3_600_000 }, 'invalid_value'],
    [{ ...task, id: 'ffffffff-ffff-7fff-bfff-ffffffffffff' }, 'invalid_value'],
    [{ table: 'user_credentials', op: 'insert', set: { secret: 'x' } }, 'unknown_table'],
    [{ table: 'organizations', op: 'delete', rowId: fixture.organizationId }, 'forbidden'],
    [{ table: 'tasks', op: 'patch', set: { title: 'x' }, base: { title: 'y' } }, 'not_found'],
    [
      {
        table: 'memories',
        op: 'insert',
        set: { scope: 'project', projectId: fixture.projectId, content: 'c', embedding: 'AACAPw==' },
      },
      'invalid_value',
    ],
  ]
  const before = await digests()
  const sent: Mutation[] = []
  for (const [fields, code] of wrong) {
    const mutation = { id: newId(), clientSeq: sent.length + 1, rowId: newId(), at: 0, ...fields }
    sent.push(mutation)
    client.send({ type: 'push', mutations: [mutation] })
    const { outcomes } = await client.next('outcomes')
    expect([fields, outcomes[0]?.error?.code]).toEqual([fields, code])
  }
  // Said again, all at once: the ledger knows them.
  client.send({ type: 'push', mutations: sent })
  const { outcomes } = await client.next('outcomes')
  expect(outcomes.map(({ error }) => error?.code)).toEqual(wrong.map(([, code]) => code))

  const outOfReach: readonly (readonly [Pick<Subscription, 'channel' | 'tables' | 'where'>, string])[] = [
    [{ channel: `project/${stranger.projectId}` }, 'forbidden'],
    [{ channel: `organization/${stranger.organizationId}` }, 'forbidden'],
    [{ channel: `project/${fixture.projectId}`, tables: ['nothing'] }, 'unknown_table'],
    [{ channel: `project/${fixture.projectId}`, where: { tasks: { nothing: 1 } } }, 'bad_filter'],
  ]
  for (const [subscription, code] of outOfReach) {
    const id = newId()
    client.send({ type: 'subscribe', subscriptions: [{ id, embeddings: false, held: false, ...subscription }] })
    const answer = await client.next('subscribed')
    expect([subscription, answer.id, answer.error?.code]).toEqual([subscription, id, code])
  }
  client.close()
  const after = await digests()
  const changed = [...after].filter(([table, digest]) => before.get(table) !== digest).map(([table]) => table)
  expect(changed.filter((table) => table === 'tasks' || !written.has(table))).toEqual([])
}, 120_000)
