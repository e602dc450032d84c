import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  canRun,
  readiness,
  rolesOf,
  seesTask,
  startCluster,
  timeTakeover,
  until,
  writerOf,
  type Cluster,
} from './cluster.ts'

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

  test.each(['SIGKILL', 'SIGSTOP'] as const)(
    'when the writer is ended by %s, another one goes on within 5 s, and nobody loses or loads anything',
    async (signal) => {
      const writer = await writerOf(cluster.servers)
      const others = cluster.servers.filter((server) => server !== writer)
      const clients = await Promise.all(['a', 'b', 'c'].map((name) => cluster.follow(`${name} ${signal}`)))
      await Promise.all(clients.map((client) => client.synced()))
      const before = await Promise.all(clients.map((client) => addTask(client, `before ${signal}`)))
      const takeover = timeTakeover(`Takeover after ${signal}`)
      if (signal === 'SIGKILL') await writer.crash()
      else writer.signal('SIGSTOP')
      await writerOf(others)
      takeover.expectInTime()
      cluster.takeOut(writer)
      const during = await Promise.all(clients.map((client) => addTask(client, `during ${signal}`)))
      for (const client of clients) for (const id of [...before, ...during]) await seesTask(client, id)
      if (signal === 'SIGSTOP') writer.signal('SIGCONT')
      else await writer.restart()
      await until(async () => ((await readiness(writer))?.log === 'follower' ? true : undefined))
      cluster.bringBack(writer)
      const after = await Promise.all(clients.map((client) => addTask(client, `after ${signal}`)))
      for (const client of clients) {
        for (const id of after) await seesTask(client, id)
        await client.synced()
        expect(await client.verify()).toEqual({ equal: true })
        await client.close()
      }
    },
    120_000,
  )
})
