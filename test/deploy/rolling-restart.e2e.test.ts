// What docker-compose.yml deploys, stopped and started again server by server: HAProxy with the configuration that
// ships, two servers with the time to leave that Compose gives them, capture from the WAL, and Redis.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stop } from '../../scripts/processes.ts'
import { canRun, readiness, startCluster, until, type Cluster } from '../cluster/cluster.ts'
import { hasRedis, startRedis, type RedisProcess } from '../cluster/redis-process.ts'
import { expectEqual, expectLoggedOnce, isCurrent, untilStatus } from '../failure/stage.ts'
import { expectOnce, keepWriting, keepWritingSql, type Place } from '../failure/writers.ts'
import { helloOf, RawClient } from '../support/raw-client.ts'
import { compose } from './compose-file.ts'
import { hasHaproxy, startHaproxy, type Haproxy } from './haproxy.ts'

/** As somebody who comes back to a server, to the other, and as somebody new. */
const cookies = ['tidewire=one', 'tidewire=two', ''] as const

describe.skipIf(!canRun || !hasRedis || !hasHaproxy)('a rolling restart behind the proxy', () => {
  let redis: RedisProcess
  let cluster: Cluster
  let proxy: Haproxy
  let place: Place

  beforeAll(async () => {
    redis = await startRedis()
    const { SHUTDOWN_DELAY_MS = '' } = compose().service('server1').environment ?? {}
    cluster = await startCluster({ servers: 2, capture: 'wal', env: { REDIS_URL: redis.url, SHUTDOWN_DELAY_MS } })
    proxy = await startHaproxy(cluster.servers.map(({ url }) => url))
    const { pool, projectId } = cluster
    place = {
      projectId,
      sql: async <R extends object>(text: string, values: readonly unknown[] = []) =>
        (await pool.query<R>(text, [...values])).rows,
    }
  }, 240_000)
  afterAll(async () => {
    await cluster?.close()
    if (proxy) await stop(proxy.process, 'SIGTERM')
    await redis?.kill()
  }, 120_000)

  /**
   * New devices, one after the other, until they are stopped; answers how many were welcomed, and why others were not.
   */
  function keepComing(token: string, cookie: string): () => Promise<{ welcomed: number; refused: readonly string[] }> {
    let [stopped, welcomed] = [false, 0]
    const refused: string[] = []
    const come = async (): Promise<void> => {
      const client = await RawClient.connect(proxy.url, undefined, cookie === '' ? {} : { cookie })
      client.send(helloOf(token))
      await client.next('welcome')
      client.close()
      welcomed++
    }
    const run = async (): Promise<void> => {
      while (!stopped) await come().catch((error: unknown) => void refused.push(`${cookie}: ${String(error)}`))
    }
    const running = run()
    return async () => {
      stopped = true
      await running
      return { welcomed, refused }
    }
  }

  test('loses no acknowledged write, doubles none, loads nobody anew and refuses nobody who comes', async () => {
    const clients = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) => cluster.follow(name, { server: { url: proxy.url } })),
    )
    const token = await cluster.tokenOf('ada@example.com')
    const newcomers = cookies.map((cookie) => keepComing(token, cookie))
    const writers = [...clients.map((tide) => keepWriting(place, tide, 20)), keepWritingSql(place, 20)]
    for (const server of cluster.servers) {
      await Promise.all(writers.map((writer) => writer.oneMore()))
      await server.stop()
      await Promise.all(writers.map((writer) => writer.oneMore()))
      await server.restart()
      await until(async () => (await readiness(server))?.ready || undefined)
    }
    await Promise.all(writers.map((writer) => writer.oneMore()))
    const came = await Promise.all(newcomers.map((stop) => stop()))
    const titles = await Promise.all(writers.map((writer) => writer.stop()))
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    await Promise.all(clients.map((tide) => tide.synced()))
    await expectEqual(clients, place.sql, ['tasks'])
    for (const each of titles) await expectOnce(place, each)
    await expectLoggedOnce(place)
    for (const tide of clients) expect(await tide.writes.find({ status: 'rejected' })).toEqual([])
    expect(cluster.loadedAgain).toEqual([])
    for (const { welcomed } of came) expect(welcomed).toBeGreaterThan(0)
    expect(came.flatMap(({ refused }) => refused)).toEqual([])
  }, 240_000)
})
