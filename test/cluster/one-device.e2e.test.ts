// A device is in one place and writes once, to whichever servers it comes, with Redis and without.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Mutation } from '../../protocol/messages/mutation.ts'
import { newId } from '../support/fixtures.ts'
import { helloOf, RawClient } from '../support/raw-client.ts'
import { canRun, redisIs, startCluster, type Cluster } from './cluster.ts'
import { hasRedis, startRedis, type RedisProcess } from './redis-process.ts'

describe.skipIf(!canRun || !hasRedis)('a device of several servers', () => {
  let redis: RedisProcess
  let cluster: Cluster
  let urls: readonly [string, string]

  beforeAll(async () => {
    redis = await startRedis()
    cluster = await startCluster({ servers: 2, capture: 'wal', env: { REDIS_URL: redis.url } })
    const [first, second] = cluster.servers
    urls = [first?.url ?? '', second?.url ?? '']
    await redisIs(cluster, true)
  }, 240_000)
  afterAll(async () => {
    await cluster?.close()
    await redis?.kill()
  }, 120_000)

  const insertTask = (clientSeq: number): Mutation => ({
    id: newId(),
    clientSeq,
    table: 'tasks',
    rowId: newId(),
    op: 'insert',
    set: { projectId: cluster.projectId, title: 'sent twice' },
    at: 0,
  })

  test('a device that comes to another server ends its session on the first', async () => {
    const token = await cluster.tokenOf('ada@example.com')
    const hello = helloOf(token)
    const { client: older } = await RawClient.greeted(urls[0], token, hello)
    const { client: newer } = await RawClient.greeted(urls[1], token, hello)
    await older.closed
    expect(newer.isClosed).toBe(false)
    const { client: newest } = await RawClient.greeted(urls[0], token, hello)
    await newer.closed
    expect(newest.isClosed).toBe(false)
    newest.close()
  }, 60_000)

  describe.each(['with Redis', 'without Redis'] as const)('%s', (redisState) => {
    beforeAll(async () => {
      if (redisState === 'with Redis') return
      await redis.kill()
      await redisIs(cluster, false)
    })

    test('a write sent to one server and again to another is applied once, and a copy of its device is found out', async () => {
      const token = await cluster.tokenOf('ada@example.com')
      const hello = helloOf(token, { clientSeq: 1 })
      const mutation = insertTask(1)
      const { client: first } = await RawClient.greeted(urls[0], token, hello)
      first.send({ type: 'push', mutations: [mutation] })
      const { outcomes } = await first.next('outcomes')
      const { client: second, welcome } = await RawClient.greeted(urls[1], token, hello)
      expect(welcome.clientSeq).toBe(1)
      second.send({ type: 'push', mutations: [mutation] })
      expect((await second.next('outcomes')).outcomes).toEqual(outcomes)
      const { rows } = await cluster.pool.query('select version from tasks where id = $1', [mutation.rowId])
      expect(rows).toEqual([{ version: 1 }])
      const copy = await RawClient.connect(urls[0])
      copy.send({ ...hello, clientSeq: 0 })
      expect(await copy.next('error')).toMatchObject({ fatal: true, error: { code: 'device_cloned' } })
      second.close()
    }, 60_000)
  })
})
