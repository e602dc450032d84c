import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canRun, redisIs, readiness, seesPresent, seesTask, startCluster, until, type Cluster } from './cluster.ts'
import { hasRedis, startRedis, type RedisProcess } from './redis-process.ts'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts'

describe.skipIf(!canRun || !hasRedis)('several servers with Redis between them', () => {
  let redis: RedisProcess
  let cable: TcpProxy
  let cluster: Cluster
  let clients: readonly Client[]

  beforeAll(async () => {
    redis = await startRedis()
    cable = await startProxy(() => [redis.port])
    cluster = await startCluster({
      servers: 3,
      capture: 'wal',
      env: { REDIS_URL: `redis://127.0.0.1:${cable.port}` },
    })
    await redisIs(cluster, true)
    clients = await Promise.all(cluster.servers.map((server, index) => cluster.follow(`direct ${index}`, { server })))
  }, 240_000)
  afterAll(async () => {
    await cluster?.close()
    await cable?.close()
    await redis?.kill()
  }, 120_000)

  const sees = (client: Client, shown: readonly string[]): Promise<void> =>
    seesPresent(client, cluster.projectId, shown)
  const everywhere = (at: string): readonly string[] => [0, 1, 2].map((index) => `direct ${index}: ${at}`)
  const show = (at: string): void => {
    for (const client of clients) client.presence({ project: cluster.projectId }).set({ at })
  }

  /** Every client writes; how many of these writes each of them has when all have arrived. */
  async function written(title: string): Promise<readonly number[]> {
    const ids = await Promise.all(
      clients.map(async (client) => (await client.tasks.insert({ projectId: cluster.projectId, title })).id),
    )
    for (const client of clients) for (const id of ids) await seesTask(client, id)
    return Promise.all(clients.map(async (client) => (await client.tasks.find({ where: { title } })).length))
  }

  test('who is present on one server is seen on all, and goes everywhere when its server is killed', async () => {
    show('home')
    await Promise.all(clients.map((client) => sees(client, everywhere('home'))))
    expect(await written('with Redis')).toEqual([3, 3, 3])
    const [first, second, third] = clients
    if (!first || !second || !third) throw new Error('There are three.')
    await cluster.servers[2]?.crash()
    await Promise.all([first, second].map((client) => sees(client, everywhere('home').slice(0, 2))))
    await cluster.servers[2]?.restart()
    await Promise.all(clients.map((client) => sees(client, everywhere('home'))))
  }, 120_000)

  test('without Redis writes still reach everyone, each server shows its own, and with it presence comes back', async () => {
    await redis.kill()
    await redisIs(cluster, false)
    await until(async () => {
      const all = await Promise.all(cluster.servers.map(readiness))
      return all.every((one) => one?.ready && !one.redis?.ok) || undefined
    })
    show('alone')
    for (const [index, client] of clients.entries()) await sees(client, [`direct ${index}: alone`])
    expect(await written('without Redis')).toEqual([3, 3, 3])
    await redis.start()
    await redisIs(cluster, true)
    await Promise.all(clients.map((client) => sees(client, everywhere('alone'))))
    expect(await written('with Redis again')).toEqual([3, 3, 3])
  }, 120_000)

  test('the same where Redis is cut off without a word', async () => {
    cable.partition()
    expect(await written('at the moment of the cut')).toEqual([3, 3, 3])
    await redisIs(cluster, false)
    show('apart')
    for (const [index, client] of clients.entries()) await sees(client, [`direct ${index}: apart`])
    expect(await written('while cut off')).toEqual([3, 3, 3])
    cable.heal()
    await redisIs(cluster, true)
    await Promise.all(clients.map((client) => sees(client, everywhere('apart'))))
    expect(await written('healed')).toEqual([3, 3, 3])
    for (const client of clients) {
      await client.synced()
      expect(await client.verify()).toEqual({ equal: true })
    }
  }, 120_000)
})
