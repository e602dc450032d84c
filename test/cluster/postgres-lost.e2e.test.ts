// One of several servers loses its Postgres, by a cable that is cut.
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster as Postgres } from '../../scripts/postgres-cluster.ts'
import { hasOwnCluster, openCluster } from '../failure/own-cluster.ts'
import { isCurrent, isStale, untilStatus } from '../failure/stage.ts'
import type { ServerProcess } from '../support/server-process.ts'
import { canRun, readiness, rolesOf, seesTask, startCluster, until, writerOf, type Cluster } from './cluster.ts'
import { hasRedis, startRedis, type RedisProcess } from './redis-process.ts'

describe.skipIf(!canRun || !hasRedis || !hasOwnCluster)('several servers and a Postgres that is lost', () => {
  let postgres: Postgres
  let redis: RedisProcess
  let cluster: Cluster
  /** One directly at each server, in their order, and some behind the load balancer. */
  let direct: readonly Client[]
  let balanced: readonly Client[]
  let all: readonly Client[]

  beforeAll(async () => {
    ;[postgres, redis] = await Promise.all([openCluster(), startRedis()])
    cluster = await startCluster({
      servers: 3,
      capture: 'wal',
      postgresUrl: postgres.url,
      env: { REDIS_URL: redis.url },
    })
    direct = await Promise.all(cluster.servers.map((server, index) => cluster.follow(`direct ${index}`, { server })))
    balanced = await Promise.all(['a', 'b', 'c'].map((name) => cluster.follow(`balanced ${name}`)))
    all = [...direct, ...balanced]
  }, 240_000)
  afterAll(async () => {
    await cluster?.close()
    await redis?.kill()
    await postgres?.[Symbol.asyncDispose]()
  }, 120_000)

  /** Writes the next task when the one before is on the device, until it is stopped; answers all ids. */
  function keepWriting(client: Client, title: string): () => Promise<readonly string[]> {
    const ids: string[] = []
    let stopped = false
    const run = async (): Promise<void> => {
      while (!stopped) {
        ids.push((await client.tasks.insert({ projectId: cluster.projectId, title: `${title} ${ids.length}` })).id)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
    const running = run()
    return async () => {
      stopped = true
      await running
      return ids
    }
  }

  const isReady = async (server: ServerProcess): Promise<boolean> => (await readiness(server))?.ready === true
  const untilReady = (servers: readonly ServerProcess[], wanted = true): Promise<unknown> =>
    until(async () => {
      const states = await Promise.all(servers.map(isReady))
      return states.every((state) => state === wanted) || undefined
    })

  async function expectAllEqual(ids: readonly string[]): Promise<void> {
    for (const client of all) {
      for (const id of ids) await seesTask(client, id)
      await client.synced()
      expect(await client.verify()).toEqual({ equal: true })
      expect(await client.writes.find({ status: 'rejected' })).toEqual([])
    }
    const { rows } = await cluster.pool.query<{ doubled: number; known: number }>(
      `select count(*) filter (where n > 1)::integer as doubled, (select count(*)::integer from tasks where id = any($1)) as known
       from (select count(*) as n from tasks where title like 'lost %' group by title) t`,
      [ids],
    )
    expect(rows).toEqual([{ doubled: 0, known: ids.length }])
  }

  test.for(['the writer of the log', 'one that follows'] as const)(
    '%s is cut off from Postgres: its clients are told and go elsewhere, nothing is lost or double, and it comes back',
    { timeout: 240_000 },
    async (role) => {
      const writer = await writerOf(cluster.servers)
      const cut = role === 'one that follows' ? cluster.servers.find((server) => server !== writer) : writer
      if (!cut) throw new Error('There are three.')
      const others = cluster.servers.filter((server) => server !== cut)
      const there = direct[cluster.servers.indexOf(cut)]
      if (!there) throw new Error('There is one at each.')
      const stops = all.map((client, index) => keepWriting(client, `lost ${role} ${index}`))
      cluster.cableOf(cut).partition()
      await writerOf(others)
      await untilReady([cut], false)
      cluster.takeOut(cut)
      await untilReady(others)
      // What the others see meanwhile does not reach it, and it does not pretend.
      const elsewhere = direct.filter((client) => client !== there)
      const [first] = elsewhere
      const news = await first?.tasks.insert({ projectId: cluster.projectId, title: `lost ${role} news` })
      for (const client of [...elsewhere, ...balanced]) await seesTask(client, news?.id ?? '')
      await untilStatus(there, isStale)
      expect(await there.tasks.get(news?.id ?? '')).toBeUndefined()
      const own = await there.tasks.insert({ projectId: cluster.projectId, title: `lost ${role} own` })
      cluster.cableOf(cut).heal()
      await until(async () => ((await readiness(cut))?.log === 'follower' ? true : undefined))
      await untilReady(cluster.servers)
      cluster.bringBack(cut)
      await own.$write.wait('synced')
      await Promise.all(all.map((client) => untilStatus(client, isCurrent)))
      const ids = (await Promise.all(stops.map((stop) => stop()))).flat()
      await expectAllEqual([...ids, own.id, news?.id ?? ''])
      await expect.poll(() => rolesOf(cluster.servers), { timeout: 60_000 }).toEqual(['follower', 'follower', 'writer'])
    },
  )
})
