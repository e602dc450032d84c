// The proxy of docker-compose.yml, with the configuration that ships, before two servers.
import { once } from 'node:events'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { spawn } from 'node:child_process'
import { connect, type Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort, stop, untilAnswering } from '../../scripts/processes.ts'
import { findServices } from '../../scripts/services.ts'
import { canRun, seesTask, startCluster, type Cluster } from '../cluster/cluster.ts'
import type { ServerProcess } from '../support/server-process.ts'

const configuration = fileURLToPath(new URL('../../deploy/haproxy.cfg', import.meta.url))
const { haproxy } = findServices()

async function startHaproxy(
  servers: readonly string[],
): Promise<{ readonly url: string; readonly process: ChildProcess }> {
  const listen = `127.0.0.1:${await freePort()}`
  const [one = '', two = ''] = servers.map((url) => new URL(url).host)
  const child = spawn(haproxy.kind === 'missing' ? '' : haproxy.at, ['-db', '-f', configuration], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, TIDEWIRE_LISTEN: listen, TIDEWIRE_SERVER_1: one, TIDEWIRE_SERVER_2: two },
  })
  const url = `http://${listen}`
  await untilAnswering(
    child,
    'HAProxy',
    async () => (await fetch(`${url}/ready`).catch(() => undefined))?.status === 200,
  )
  return { url, process: child }
}

async function connectionsOf({ url }: ServerProcess): Promise<number> {
  const answer = (await (await fetch(`${url}/ready`)).json()) as { readonly connections: number }
  return answer.connections
}

describe.skipIf(!canRun || haproxy.kind === 'missing')('two servers behind the proxy', () => {
  let cluster: Cluster
  let proxy: { readonly url: string; readonly process: ChildProcess }
  const clients: Client[] = []

  beforeAll(async () => {
    cluster = await startCluster({ servers: 2, capture: 'trigger' })
    proxy = await startHaproxy(cluster.servers.map(({ url }) => url))
    for (const name of ['one', 'two', 'three', 'four']) {
      const client = await connect({
        url: proxy.url,
        token: await cluster.tokenOf('ada@example.com'),
        replica: { kind: 'memory' },
        device: { name, kind: 'agent_runtime' },
      })
      clients.push(client)
      await (
        await client.subscribe({ project: cluster.projectId }, { tables: ['tasks'] })
      ).ready
    }
  }, 300_000)

  afterAll(async () => {
    await Promise.all(clients.map((client) => client.close()))
    if (proxy) await stop(proxy.process, 'SIGTERM')
    await cluster?.close()
  }, 120_000)

  test('WebSockets go through, to both servers', async () => {
    const counts = await Promise.all(cluster.servers.map(connectionsOf))
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(4)
    expect(Math.min(...counts)).toBeGreaterThan(0)
  })

  test('what one client writes the others see, whichever server they are on', async () => {
    const [first, ...others] = clients
    const task = await first?.tasks.insert({ projectId: cluster.projectId, title: 'Through the proxy' })
    await Promise.all(others.map((client) => seesTask(client, task?.id ?? '')))
    const titles = await Promise.all(clients.map(async (client) => (await client.tasks.get(task?.id ?? ''))?.title))
    expect(titles).toEqual(Array(4).fill('Through the proxy'))
  })

  test('pages and health go through; metrics do not', async () => {
    const status = async (path: string): Promise<number> => (await fetch(`${proxy.url}${path}`)).status
    expect([await status('/'), await status('/health'), await status('/ready'), await status('/metrics')]).toEqual([
      200, 200, 200, 404,
    ])
  })

  test('when a server is killed its clients go on with the other one', async () => {
    await cluster.servers[1]?.crash()
    const [first, ...others] = clients
    const task = await first?.tasks.insert({ projectId: cluster.projectId, title: 'After the crash' })
    await Promise.all([...others, ...(first ? [first] : [])].map((client) => seesTask(client, task?.id ?? '')))
    expect(await connectionsOf(cluster.servers[0] ?? expect.unreachable())).toBe(4)
  }, 180_000)
})

test.skipIf(haproxy.kind === 'missing')('the proxy finds nothing wrong with its configuration', async () => {
  const child = spawn(haproxy.kind === 'missing' ? '' : haproxy.at, ['-c', '-f', configuration], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      TIDEWIRE_LISTEN: ':4600',
      TIDEWIRE_SERVER_1: '127.0.0.1:1',
      TIDEWIRE_SERVER_2: '127.0.0.1:2',
    },
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const [code] = await once(child, 'close')
  expect(said).not.toMatch(/warning/i)
  expect(code).toBe(0)
})
