// A Redis that answers and refuses: its user lacks a right. (`.pg`: it takes an installed Redis, and no Postgres.)
import { createClient } from '@redis/client'
import { createAdapter } from '@socket.io/redis-streams-adapter'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { installedRedis } from '../../scripts/services.ts'
import { systemRandom } from '../../lib/random.ts'
import { openRedis, type AdapterClient, type Redis } from '../../server/cluster/redis.ts'
import { redisFigures } from '../../server/telemetry/health.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startRedis, type RedisProcess } from './redis-process.ts'

describe.skipIf(installedRedis() === undefined)('a Redis that lets nobody read its stream', () => {
  const clock = new ManualClock()
  let process: RedisProcess
  let admin: ReturnType<typeof createClient>
  let redis: Redis

  beforeAll(async () => {
    process = await startRedis()
    admin = createClient({ url: process.url })
    await admin.connect()
    await admin.sendCommand(['ACL', 'SETUSER', 'limited', 'on', '>secret', '~*', '&*', '+@all', '-xread'])
    redis = openRedis({
      url: process.url.replace('redis://', 'redis://limited:secret@'),
      ...{ clock, random: systemRandom, log: silentLog },
    })
  })
  afterAll(async () => {
    await redis.close()
    admin.destroy()
    await process.kill()
  })

  /** How often somebody has tried. */
  async function tries(): Promise<number> {
    const stats = String(await admin.sendCommand(['INFO', 'commandstats']))
    return Number(/cmdstat_xread:.*rejected_calls=(\d+)/.exec(stats)?.[1] ?? 0)
  }

  /** More round trips than a loop without a pause needs for its next turn. */
  async function meanwhile(): Promise<void> {
    for (let turn = 0; turn < 200; turn++) await admin.ping()
  }

  test('is asked once a second and not as fast as it answers, and health says why', async () => {
    const adapterClient: AdapterClient = redis.adapterClient
    createAdapter(adapterClient, { streamName: 'stream' })
    await expect.poll(tries).toBe(1)
    await meanwhile()
    expect(await tries()).toBe(1)
    await expect.poll(() => redis.refusal).toContain('NOPERM')
    expect(redisFigures({ isUp: true, refusal: redis.refusal })).toEqual({
      ok: false,
      detail: expect.stringContaining('xread'),
    })
    await clock.advance(1000)
    await expect.poll(tries).toBe(2)
    await meanwhile()
    expect(await tries()).toBe(2)
    await admin.sendCommand(['ACL', 'SETUSER', 'limited', '+xread'])
    await clock.advance(1000)
    await admin.sendCommand(['XADD', 'stream', '*', 'nobody', 'hears'])
    await expect.poll(() => redis.refusal).toBeUndefined()
  })
})
