// The writer of the log goes, in every way there is: what is committed meanwhile reaches those who are connected to
// other servers.
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ServerProcess } from '../support/server-process.ts'
import { canRun, readiness, rolesOf, seesTask, startCluster, until, writerOf, type Cluster } from './cluster.ts'
import { timeDeliveries } from './deliveries.ts'

/** How a writer goes, and how it comes back. */
interface End {
  readonly name: string
  begin(cluster: Cluster, writer: ServerProcess): Promise<unknown>
  undo(cluster: Cluster, writer: ServerProcess): Promise<unknown>
}

const ends: readonly End[] = [
  {
    name: 'is killed (SIGKILL)',
    begin: (_, writer) => writer.crash(),
    undo: (_, writer) => writer.restart(),
  },
  {
    name: 'stands still (SIGSTOP)',
    begin: async (_, writer) => writer.signal('SIGSTOP'),
    undo: async (_, writer) => writer.signal('SIGCONT'),
  },
  {
    name: 'is cut off from Postgres without a word',
    begin: async (cluster, writer) => cluster.cableOf(writer).partition(),
    undo: async (cluster, writer) => cluster.cableOf(writer).heal(),
  },
  {
    name: 'is stopped (SIGTERM)',
    begin: (_, writer) => writer.stop(),
    undo: (_, writer) => writer.restart(),
  },
]

describe.skipIf(!canRun)('several servers on one database, with CAPTURE=wal', () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await startCluster({ servers: 3, capture: 'wal' })
  }, 240_000)
  afterAll(() => cluster?.close(), 120_000)

  async function addTask(client: Client, title: string): Promise<string> {
    const task = await client.tasks.insert({ projectId: cluster.projectId, title })
    return task.id
  }

  test('one writes the log, the others follow it, and clients of all see each other', async () => {
    await expect.poll(() => rolesOf(cluster.servers), { timeout: 60_000 }).toEqual(['follower', 'follower', 'writer'])
    const clients = await Promise.all(
      cluster.servers.map((server, index) => cluster.follow(`direct ${index}`, { server })),
    )
    for (const [index, client] of clients.entries()) {
      const id = await addTask(client, `from ${index}`)
      await Promise.all(clients.map((each) => seesTask(each, id)))
    }
    await Promise.all(clients.map((client) => client.close()))
  }, 120_000)

  test.for(ends)(
    'when the writer $name, commits reach clients of the others within 5 s, and nobody loses or loads anything',
    { timeout: 120_000 },
    async (end) => {
      const writer = await writerOf(cluster.servers)
      const others = cluster.servers.filter((server) => server !== writer)
      const there = await Promise.all(
        others.map((server, index) => cluster.follow(`there ${index} ${end.name}`, { server })),
      )
      const balanced = await Promise.all(['a', 'b', 'c'].map((name) => cluster.follow(`${name} ${end.name}`)))
      const clients = [...there, ...balanced]
      await Promise.all(clients.map((client) => client.synced()))
      const before = await Promise.all(clients.map((client) => addTask(client, `before: ${end.name}`)))
      const deliveries = timeDeliveries(cluster, there, end.name)
      await deliveries.oneMore()
      const begun = end.begin(cluster, writer)
      await deliveries.afterNow()
      await begun
      await writerOf(others)
      await deliveries.expectInTime()
      cluster.takeOut(writer)
      const during = await Promise.all(clients.map((client) => addTask(client, `during: ${end.name}`)))
      for (const client of clients) for (const id of [...before, ...during]) await seesTask(client, id)
      await end.undo(cluster, writer)
      await until(async () => ((await readiness(writer))?.log === 'follower' ? true : undefined))
      cluster.bringBack(writer)
      const after = await Promise.all(clients.map((client) => addTask(client, `after: ${end.name}`)))
      for (const client of clients) {
        for (const id of after) await seesTask(client, id)
        await client.synced()
        expect(await client.verify()).toEqual({ equal: true })
        await client.close()
      }
    },
  )
})
