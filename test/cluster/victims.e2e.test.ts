// Three servers, Postgres and Redis, everybody writing: each of the five is killed in turn, and Redis is cut off from
// one server alone.
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster as Postgres } from '../../scripts/postgres-cluster.ts'
import { hasOwnCluster, openCluster } from '../failure/own-cluster.ts'
import { expectEqual, expectLoggedOnce, isCurrent, isStale, untilStatus } from '../failure/stage.ts'
import { expectOnce, keepWriting, keepWritingSql, type Place, type Writer } from '../failure/writers.ts'
import type { ServerProcess } from '../support/server-process.ts'
import {
  canRun,
  readiness,
  seesPresent,
  startCluster,
  until,
  writerOf,
  type Cluster,
  type Readiness,
} from './cluster.ts'
import { hasRedis, startRedis, type RedisProcess } from './redis-process.ts'
import { keepCounting, watchLoads, watchOrder } from './witnesses.ts'

describe.skipIf(!canRun || !hasRedis || !hasOwnCluster)('three servers, Postgres and Redis under load', () => {
  let postgres: Postgres
  let redis: RedisProcess
  let cluster: Cluster
  let place: Place
  /** One at each server, in their order, and as many behind the load balancer. */
  let direct: readonly Client[]
  let all: readonly Client[]

  beforeAll(async () => {
    ;[postgres, redis] = await Promise.all([openCluster(), startRedis()])
    cluster = await startCluster({ servers: 3, capture: 'wal', postgresUrl: postgres.url, redis })
    const { pool, projectId } = cluster
    place = {
      projectId,
      sql: async <R extends object>(text: string, values: readonly unknown[] = []) =>
        (await pool.query<R>(text, [...values])).rows,
    }
    direct = await Promise.all(cluster.servers.map((server, index) => cluster.follow(`direct ${index}`, { server })))
    const balanced = await Promise.all(['a', 'b', 'c'].map((name) => cluster.follow(`balanced ${name}`)))
    all = [...direct, ...balanced]
    await untilAll(({ ready, redis }) => ready && redis?.ok === true)
  }, 240_000)
  afterAll(async () => {
    await cluster?.close()
    await redis?.kill()
    await postgres?.[Symbol.asyncDispose]()
  }, 120_000)

  const untilAll = (fits: (one: Readiness) => boolean, servers = cluster.servers): Promise<unknown> =>
    until(async () => {
      const states = await Promise.all(servers.map(readiness))
      return states.every((one) => one !== undefined && fits(one)) || undefined
    })
  const oneMore = (writers: readonly Writer[]): Promise<unknown> =>
    Promise.all(writers.map((writer) => writer.oneMore()))

  /**
   * Everybody writes while `story` happens. Then nothing is lost or double, all are equal to the database, nobody saw a
   * commit before an earlier one, and nobody loaded anything again.
   */
  async function whileAllWrite(story: (writers: readonly Writer[], sql: Writer) => Promise<void>): Promise<void> {
    const writers = all.map((tide) => keepWriting(place, tide, 40))
    const sql = keepWritingSql(place, 40)
    const loads = await watchLoads(cluster.servers)
    const orders = all.map((tide) => watchOrder(tide, sql))
    const counters = await Promise.all(all.map((tide) => keepCounting(cluster, tide)))
    await oneMore([...writers, sql])
    await story(writers, sql)
    await untilAll(({ ready, redis }) => ready && redis?.ok === true)
    for (const tide of all) tide.connect()
    await Promise.all(all.map((tide) => untilStatus(tide, isCurrent)))
    await oneMore([...writers, sql])
    const titles = await Promise.all([...writers, sql].map((writer) => writer.stop()))
    for (const counter of counters) await counter.expectEachOnce()
    await expectEqual(all, place.sql, ['tasks'])
    for (const each of titles) await expectOnce(place, each)
    await expectLoggedOnce(place)
    for (const tide of all) expect(await tide.writes.find({ status: 'rejected' })).toEqual([])
    for (const order of orders) order.expectNone()
    await loads.expectNone()
  }

  test.for([0, 1, 2])('server %i is killed: all others go on', { timeout: 240_000 }, async (index) => {
    const server = cluster.servers[index]
    if (!server) throw new Error('There are three.')
    await whileAllWrite(async (writers, sql) => {
      await server.crash()
      await oneMore([...writers.filter((_, client) => client !== index), sql])
      await writerOf(cluster.servers.filter((other) => other !== server))
      await server.restart()
    })
    expect(cluster.loadedAgain).toEqual([])
  })

  test('Redis is killed: everybody goes on', { timeout: 240_000 }, async () => {
    await whileAllWrite(async (writers, sql) => {
      await redis.kill()
      await untilAll(({ ready, redis }) => ready && redis?.ok === false)
      await oneMore([...writers, sql])
      await redis.start()
    })
    expect(cluster.loadedAgain).toEqual([])
  })

  test('the writer of the log and Redis are killed at once: the others go on', { timeout: 240_000 }, async () => {
    const server = await writerOf(cluster.servers)
    await whileAllWrite(async (writers, sql) => {
      await Promise.all([server.crash(), redis.kill()])
      await oneMore([...writers.filter((_, client) => client !== cluster.servers.indexOf(server)), sql])
      await writerOf(cluster.servers.filter((other) => other !== server))
      await Promise.all([server.restart(), redis.start()])
    })
    expect(cluster.loadedAgain).toEqual([])
  })

  test(
    'Postgres is killed: the servers say so and run on, everybody waits and goes on',
    { timeout: 240_000 },
    async () => {
      const pids = cluster.servers.map(({ pid }) => pid)
      await whileAllWrite(async () => {
        await postgres.kill()
        await untilAll(({ ready }) => !ready)
        await Promise.all(all.map((tide) => untilStatus(tide, isStale)))
        await postgres.start()
      })
      expect(cluster.servers.map(({ pid }) => pid)).toEqual(pids)
    },
  )

  test.for(['the writer of the log', 'one that follows it'] as const)(
    'Redis is cut off from %s alone: everybody goes on, presence parts there and comes together again',
    { timeout: 240_000 },
    async (role) => {
      const writer = await writerOf(cluster.servers)
      const cut = role === 'one that follows it' ? cluster.servers.find((server) => server !== writer) : writer
      if (!cut) throw new Error('There are three.')
      const others = cluster.servers.filter((server) => server !== cut)
      const shownAt = (servers: readonly ServerProcess[]): readonly string[] =>
        servers
          .map((server) => `direct ${cluster.servers.indexOf(server)}: ${role}`)
          .toSorted((a, b) => a.localeCompare(b))
      const seenBy = (servers: readonly ServerProcess[], shown: readonly string[]): Promise<unknown> =>
        Promise.all(
          direct
            .filter((_, index) => servers.some((server) => server === cluster.servers[index]))
            .map((tide) => seesPresent(tide, cluster.projectId, shown)),
        )
      for (const tide of direct) tide.presence({ project: cluster.projectId }).set({ at: role })
      await seenBy(cluster.servers, shownAt(cluster.servers))
      await whileAllWrite(async (writers, sql) => {
        cluster.redisCableOf(cut).partition()
        await untilAll(({ ready, redis }) => ready && redis?.ok === false, [cut])
        await untilAll(({ ready, redis }) => ready && redis?.ok === true, others)
        await Promise.all([seenBy([cut], shownAt([cut])), seenBy(others, shownAt(others))])
        await oneMore([...writers, sql])
        cluster.redisCableOf(cut).heal()
      })
      await seenBy(cluster.servers, shownAt(cluster.servers))
      expect(cluster.loadedAgain).toEqual([])
    },
  )
})
