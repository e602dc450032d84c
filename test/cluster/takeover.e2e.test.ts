import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ServerProcess } from '../support/server-process.ts'
import { canRun, portOf, readiness, startCluster, until, writerOf, type Cluster } from './cluster.ts'
import { inTurns, startProxy, type TcpProxy } from './tcp-proxy.ts'

describe.skipIf(!canRun)('several servers on one database, with CAPTURE=wal', () => {
  let cluster: Cluster
  let balancer: TcpProxy
  /** Ports that the balancer's health check has taken out. */
  const out = new Set<number>()

  beforeAll(async () => {
    cluster = await startCluster({ servers: 3, capture: 'wal' })
    balancer = await startProxy(inTurns(cluster.servers.map(portOf), out))
  }, 240_000)
  afterAll(async () => {
    await balancer?.close()
    await cluster?.close()
  }, 60_000)

  async function following(name: string, server?: ServerProcess): Promise<Client> {
    const client = await cluster.open(server ?? { url: `http://127.0.0.1:${balancer.port}` }, { name })
    const channel = await client.subscribe({ project: cluster.projectId }, { tables: ['tasks'] })
    await channel.ready
    channel.onState((state) => expect(state).not.toBe('bootstrapping'))
    return client
  }

  const addTask = async (client: Client, title: string): Promise<string> => {
    const task = await client.tasks.insert({ projectId: cluster.projectId, title })
    return task.id
  }

  async function sees(client: Client, id: string): Promise<void> {
    for await (const [row] of client.tasks.live({ where: { id } })) if (row?.$sync.status === 'synced') return
  }

  test('one writes the log, the others follow it, and clients of all see each other', async () => {
    const writer = await writerOf(cluster.servers)
    const all = await Promise.all(cluster.servers.map(readiness))
    expect(all.map((one) => one?.log).toSorted()).toEqual(['follower', 'follower', 'writer'])
    const clients = await Promise.all(cluster.servers.map((server, index) => following(`direct ${index}`, server)))
    for (const [index, client] of clients.entries()) {
      const id = await addTask(client, `from ${index}`)
      await Promise.all(clients.map((each) => sees(each, id)))
    }
    expect(writer.url).toBe((await writerOf(cluster.servers)).url)
    await Promise.all(clients.map((client) => client.close()))
  }, 120_000)

  test.each(['SIGKILL', 'SIGSTOP'] as const)(
    'when the writer is ended by %s, another one goes on within seconds, and nobody loses or loads anything',
    async (signal) => {
      const writer = await writerOf(cluster.servers)
      const others = cluster.servers.filter((server) => server !== writer)
      const clients = await Promise.all(['a', 'b', 'c'].map((name) => following(`${name} ${signal}`)))
      const [first] = clients
      if (!first) throw new Error('There is no client.')
      await Promise.all(clients.map((client) => client.synced()))
      const before = await Promise.all(clients.map((client) => addTask(client, `before ${signal}`)))
      const at = performance.now()
      if (signal === 'SIGKILL') await writer.crash()
      else writer.signal('SIGSTOP')
      await writerOf(others)
      const took = performance.now() - at
      process.stderr.write(`takeover after ${signal}: ${Math.round(took)} ms\n`)
      out.add(portOf(writer))
      balancer.cut(portOf(writer))
      const during = await Promise.all(clients.map((client) => addTask(client, `during ${signal}`)))
      for (const client of clients) for (const id of [...before, ...during]) await sees(client, id)
      out.clear()
      if (signal === 'SIGSTOP') writer.signal('SIGCONT')
      else await writer.restart()
      await until(async () => ((await readiness(writer))?.log === 'follower' ? true : undefined))
      const after = await addTask(first, `after ${signal}`)
      for (const client of clients) {
        await sees(client, after)
        await client.synced()
        expect(await client.verify()).toEqual({ equal: true })
        await client.close()
      }
    },
    120_000,
  )
})
