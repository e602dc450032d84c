// The same on Postgres, where another process' WAL is read between a commit and its delivery.
import { connect } from '@tidewire/client'
import { expect, test, vi } from 'vitest'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'
import { createTestDatabase } from '../support/database.ts'
import { startTestServer } from '../support/server.ts'

test('a write that is captured from the WAL has its whole trace, and canaries are timed to the clients', async () => {
  await using held = new AsyncDisposableStack()
  const receiver = held.use(await startOtlpReceiver())
  const { config: database } = held.use(await createTestDatabase({ kind: 'postgres' }))
  const home = await startTestServer({
    tracing: { endpoint: receiver.endpoint, serviceName: 'tidewire-test', ratio: 1 },
    config: { database, capture: 'wal' },
  })
  held.defer(() => home.close())
  const { ownerId, projectId } = home.fixture
  const tide = await connect({
    url: home.url,
    token: await home.userToken(ownerId),
    replica: { kind: 'memory' },
    device: { name: 'owner', kind: 'cli' },
  })
  held.defer(() => tide.close())
  await (
    await tide.subscribe({ project: projectId })
  ).ready
  const metrics = async (): Promise<string> => (await fetch(`${home.url}/metrics`)).text()
  const soon = { timeout: 60_000, interval: 50 }
  await vi.waitFor(async () => expect(await metrics()).toContain('tidewire_sessions{state="live"} 1'), soon)
  const task = await tide.tasks.insert({ projectId, title: 'On Postgres' })
  await task.$write.wait('synced')
  await vi.waitFor(() => {
    const spans = receiver.spans.filter(({ traceId }) => traceId === task.$write.id.replaceAll('-', ''))
    const stages = ['push', 'decide', 'commit', 'capture', 'batch', 'acknowledge']
    expect(new Set(spans.map(({ name }) => name))).toEqual(new Set(stages))
  }, soon)
  await vi.waitFor(async () => expect(await metrics()).toMatch(/tidewire_commit_to_client_seconds_count [1-9]/), soon)
}, 180_000)

test('the metrics have every pool of connections, and the name of the server that /ready has', async () => {
  await using held = new AsyncDisposableStack()
  const { config, url = '' } = held.use(await createTestDatabase({ kind: 'postgres' }))
  if (config.kind !== 'postgres') throw new Error('It is on Postgres.')
  const home = await startTestServer({
    config: { database: { ...config, readUrls: [url, url] }, capture: 'wal' },
  })
  held.defer(() => home.close())
  const metrics = await (await fetch(`${home.url}/metrics`)).text()
  const pools = [...metrics.matchAll(/^tidewire_pool_connections_limit\{pool="(\w+)"\} (\d+)$/gm)]
  expect(Object.fromEntries(pools.map(([, name, most]) => [name, Number(most)]))).toEqual({
    ...{ main: config.poolSize, watch: 2, feed: 4, capture: 3, read_1: config.poolSize, read_2: config.poolSize },
  })
  const { node } = (await (await fetch(`${home.url}/ready`)).json()) as { readonly node: string }
  expect(metrics).toMatch(new RegExp(`^tidewire_server_info\\{node="${node}",version="[^"]+"\\} 1$`, 'm'))
}, 180_000)
