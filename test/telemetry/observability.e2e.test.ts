// What a day of writing leaves behind: in traces, in metrics and in the log.
import { connect, type Client } from '@tidewire/client'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createLog } from '../../server/telemetry/telemetry.ts'
import { startOtlpReceiver, type OtlpReceiver } from '../support/otlp-receiver.ts'
import { RawClient } from '../support/raw-client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

/** Values that must not leave the database but on the wire. */
const secrets = { title: 'Zanzibar-title-7719', description: 'Zanzibar-description-4410', rival: 'Zanzibar-rival-2093' }

let receiver: OtlpReceiver
let home: TestServer
const lines: string[] = []
const tokens: string[] = []
let writeId: string
let metrics: string

async function open(userId: string): Promise<Client> {
  const token = await home.userToken(userId)
  tokens.push(token)
  return connect({ url: home.url, token, replica: { kind: 'memory' }, device: { name: userId, kind: 'cli' } })
}

async function value(sample: string): Promise<number> {
  const text = await (await fetch(`${home.url}/metrics`)).text()
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${sample} `))
      ?.slice(sample.length) ?? Number.NaN,
  )
}

/** In hooks, where `expect.poll` may not be. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  await vi.waitFor(async () => expect(await holds()).toBe(true), { timeout: 60_000, interval: 50 })
}

beforeAll(async () => {
  receiver = await startOtlpReceiver()
  home = await startTestServer({
    log: await createLog('debug', 'json', { write: (line: string) => void lines.push(line) }),
    tracing: { endpoint: receiver.endpoint, serviceName: 'tidewire-test', ratio: 1 },
  })
  const { ownerId, memberId, projectId } = home.fixture
  const [writer, reader] = await Promise.all([open(ownerId), open(memberId)])
  await Promise.all([writer, reader].map(async (tide) => (await tide.subscribe({ project: projectId })).ready))
  // A session that is still being caught up gets what is written now by a read of its own.
  await until(async () => (await value('tidewire_sessions{state="live"}')) === 2)
  const task = await writer.tasks.insert({ projectId, title: secrets.title, description: secrets.description })
  writeId = task.$write.id
  await task.$write.wait('synced')
  await until(async () => (await reader.tasks.get(task.id))?.title === secrets.title)
  // A conflict, so that a losing value is somewhere too.
  writer.disconnect()
  await writer.tasks.update(task.id, { title: secrets.rival })
  await (await reader.tasks.update(task.id, { title: `${secrets.title}-2` })).wait('synced')
  writer.connect()
  await writer.synced()
  tokens.push('not-a-token-55102')
  const stranger = await RawClient.connect(home.url)
  stranger.send({
    type: 'hello',
    protocol: 1,
    schemaHash: '',
    token: 'not-a-token-55102',
    device: { fingerprint: 'fingerprint-1', name: 'stranger', kind: 'cli', storageEngine: 'memory' },
    cursor: null,
    clientSeq: 0,
  })
  await stranger.closed
  await until(async () => (await value('tidewire_commit_to_ack_seconds_count')) > 0)
  await until(async () => (await value('tidewire_commit_to_hub_seconds_count')) > 0)
  await until(async () => (await value('tidewire_open_conflicts')) === 1)
  // The writer has come back.
  await until(async () => (await value('tidewire_sessions{state="live"}')) === 2)
  metrics = await (await fetch(`${home.url}/metrics`)).text()
  await Promise.all([writer.close(), reader.close()])
  await home.close()
})

afterAll(async () => {
  await receiver[Symbol.asyncDispose]()
})

test('one trace, named by the write, shows push, decide, commit, capture, batch and acknowledge', () => {
  const spans = receiver.spans.filter(({ traceId }) => traceId === writeId.replaceAll('-', ''))
  const root = spans.find(({ name }) => name === 'push')
  expect(root?.parentSpanId ?? '').toBe('')
  expect(new Set(spans.map(({ name }) => name))).toEqual(
    new Set(['push', 'decide', 'commit', 'capture', 'batch', 'acknowledge']),
  )
  for (const span of spans) if (span !== root) expect(span.parentSpanId).toBe(root?.spanId)
  const begin = (stage: string): bigint => BigInt(spans.find(({ name }) => name === stage)?.startTimeUnixNano ?? -1)
  const order = ['push', 'decide', 'commit', 'capture', 'batch'].map(begin)
  expect(order).toEqual(order.toSorted((a, b) => Number(a - b)))
  for (const { startTimeUnixNano, endTimeUnixNano } of spans)
    expect(BigInt(endTimeUnixNano) >= BigInt(startTimeUnixNano)).toBe(true)
})

test('the metrics have what happened', () => {
  expect(metrics).toContain('tidewire_mutations_total{outcome="applied",code=""} 2')
  expect(metrics).toContain('tidewire_mutations_total{outcome="conflict",code=""} 1')
  expect(metrics).toContain('tidewire_open_conflicts 1')
  expect(metrics).toMatch(/tidewire_bootstraps_total\{result="completed"\} [2-9]/)
  expect(metrics).toContain('tidewire_connections_refused_total{code="token_invalid"} 1')
  expect(metrics).toContain('tidewire_sessions{state="live"} 2')
  expect(metrics).toMatch(/tidewire_pool_connections_limit\{pool="feed"\} [1-9]/)
})

test('neither log nor metrics nor traces hold what was written, or a token', () => {
  expect(lines.length).toBeGreaterThan(5)
  const said = [lines.join(''), metrics, receiver.bodies.join('')]
  for (const word of [...Object.values(secrets), 'Zanzibar', ...tokens, ...tokens.map((token) => token.slice(-20))])
    for (const text of said) expect(text).not.toContain(word)
})

test('every line of the log is JSON with a level, a time and a message', () => {
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({
      level: expect.any(Number) as number,
      time: expect.any(Number) as number,
      msg: expect.any(String) as string,
    })
  }
})
