// The proxy of docker-compose.yml, with the configuration that ships, before two servers.
import { once } from 'node:events'
import { connect, type Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stop } from '../../scripts/processes.ts'
import { canRun, seesTask, startCluster, type Cluster } from '../cluster/cluster.ts'
import { RawClient } from '../support/raw-client.ts'
import type { ServerProcess } from '../support/server-process.ts'
import { compose } from './compose-file.ts'
import { hasHaproxy, spawnHaproxy, startHaproxy, type Haproxy } from './haproxy.ts'

const connectWith = (url: string, cookie: string): Promise<RawClient> => RawClient.connect(url, undefined, { cookie })

async function connectionsOf({ url }: ServerProcess): Promise<number> {
  const answer = (await (await fetch(`${url}/ready`)).json()) as { readonly connections: number }
  return answer.connections
}

describe.skipIf(!canRun || !hasHaproxy)('two servers behind the proxy', () => {
  let cluster: Cluster
  let proxy: Haproxy
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

  test('pages and health go through; what is for the monitoring inside does not', async () => {
    const status = async (path: string): Promise<number> => (await fetch(`${proxy.url}${path}`)).status
    const paths = ['/', '/health', '/ready', '/metrics', '/metrics?x', '/health/system']
    expect(await Promise.all(paths.map(status))).toEqual([200, 200, 200, 404, 404, 404])
    // Denied by the proxy, not by the server.
    expect((await fetch(`${cluster.servers[0]?.url}/health/system`)).status).toBe(200)
  })

  test('who keeps the cookie comes back to the same server', async () => {
    const first = await fetch(`${proxy.url}/health`)
    const [given = ''] = first.headers.getSetCookie()
    expect(given).toMatch(/^tidewire=(one|two); .*HttpOnly/i)
    const [cookie = ''] = given.split(';')
    const server = cluster.servers[cookie.endsWith('one') ? 0 : 1] ?? expect.unreachable()
    const before = await connectionsOf(server)
    const sockets = await Promise.all(Array.from({ length: 4 }, () => connectWith(proxy.url, cookie)))
    expect(await connectionsOf(server)).toBe(before + 4)
    for (const socket of sockets) socket.close()
    await expect.poll(() => connectionsOf(server), { timeout: 60_000 }).toBe(before)
  })

  test('when a server is killed its clients go on with the other one', async () => {
    await cluster.servers[1]?.crash()
    const [first, ...others] = clients
    const task = await first?.tasks.insert({ projectId: cluster.projectId, title: 'After the crash' })
    await Promise.all([...others, ...(first ? [first] : [])].map((client) => seesTask(client, task?.id ?? '')))
    expect(await connectionsOf(cluster.servers[0] ?? expect.unreachable())).toBe(4)
    // A cookie of the one that is gone leads to the other.
    const socket = await connectWith(proxy.url, 'tidewire=two')
    expect(await connectionsOf(cluster.servers[0] ?? expect.unreachable())).toBe(5)
    socket.close()
  }, 180_000)

  test('at the signal that Compose sends it, it ends and lets nobody hang on to it', async () => {
    const socket = await connectWith(proxy.url, '')
    const ended = once(proxy.process, 'exit')
    proxy.process.kill(compose().service('proxy').stop_signal as NodeJS.Signals)
    await ended
    await socket.closed
    expect(socket.isClosed).toBe(true)
  })
})

const names = [
  ['addresses', '127.0.0.1:1', '127.0.0.1:2'],
  ['names that nobody knows yet', 'server1.invalid:4600', 'server2.invalid:4600'],
] as const

test.skipIf(!hasHaproxy).for(names)('the proxy starts with %s, and finds nothing wrong', async ([, one, two]) => {
  const child = spawnHaproxy(['-c'], { listen: ':4600', one, two })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const [code] = await once(child, 'close')
  expect(said.replaceAll(/.*could not resolve address.*|Warnings were found.*/g, '')).not.toMatch(/warning/i)
  expect(code).toBe(0)
})
