import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keepCounting, watchLoads } from './witnesses.ts'
import { canRun, readiness, seesTask, startCluster, until, writerOf, type Cluster } from './cluster.ts'

describe.skipIf(!canRun).each(['wal', 'trigger'] as const)('a rolling restart with CAPTURE=%s', (capture) => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await startCluster({ servers: 3, capture })
  }, 240_000)
  afterAll(() => cluster?.close(), 120_000)

  test('loses no acknowledged write, doubles none, and nobody loads anything again', async () => {
    const clients = await Promise.all(['a', 'b', 'c', 'd'].map((name) => cluster.follow(name)))
    const loads = await watchLoads(cluster.servers)
    const counters = await Promise.all(clients.map((client) => keepCounting(cluster, client)))
    const writers = new AbortController()
    const writing = clients.map((client, index) => write(client, `writer ${index}`, writers.signal))
    for (const server of cluster.servers) {
      await cluster.restart(server)
      await until(async () => (await readiness(server))?.ready || undefined)
      if (capture === 'wal') await writerOf(cluster.servers)
    }
    writers.abort()
    const ids = (await Promise.all(writing)).flat()
    for (const counter of counters) await counter.expectEachOnce()
    for (const client of clients) {
      for (const id of ids) await seesTask(client, id)
      await client.synced()
      const found = await client.tasks.find({ where: { title: { like: 'writer %' } }, limit: 100_000 })
      expect(found).toHaveLength(ids.length)
      expect(new Set(found.map(({ id }) => id))).toEqual(new Set(ids))
      expect(await client.verify()).toEqual({ equal: true })
      expect(await client.writes.find({ status: 'rejected' })).toEqual([])
    }
    await loads.expectNone()
    expect(cluster.loadedAgain).toEqual([])
    process.stderr.write(`Rolling restart with CAPTURE=${capture}: ${ids.length} writes\n`)
  }, 240_000)

  async function write(client: Client, title: string, signal: AbortSignal): Promise<readonly string[]> {
    const ids: string[] = []
    while (!signal.aborted) {
      const task = await client.tasks.insert({ projectId: cluster.projectId, title: `${title} ${ids.length}` })
      ids.push(task.id)
      // At most a few are under way at any time, so that the stop finds pushes in flight.
      if (ids.length % 5 === 0) await task.$write.wait('acknowledged')
    }
    return ids
  }
})
