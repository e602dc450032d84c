// Who may see a project is decided through one server, and heard by sessions on the others, with Redis and without.
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canRun, redisIs, seesTask, startCluster, type Cluster } from './cluster.ts'
import { startRedis, type RedisProcess } from './redis-process.ts'

describe.skipIf(!canRun)('memberships of several servers', () => {
  let redis: RedisProcess
  let cluster: Cluster
  let ada: Client
  let bens: readonly Client[]
  let ben: string

  beforeAll(async () => {
    redis = await startRedis()
    cluster = await startCluster({ servers: 3, capture: 'wal', env: { REDIS_URL: redis.url } })
    const [first, ...others] = cluster.servers
    if (!first) throw new Error('There are three.')
    ada = await cluster.follow('ada', { server: first })
    bens = await Promise.all(
      others.map((server, index) => cluster.follow(`ben ${index}`, { server, email: 'ben@example.com' })),
    )
    const { rows } = await cluster.pool.query<{ id: string }>(`select id from users where email = 'ben@example.com'`)
    ben = rows[0]?.id ?? ''
    await redisIs(cluster, true)
  }, 240_000)
  afterAll(async () => {
    await cluster?.close()
    await redis?.kill()
  }, 120_000)

  test.for(['with Redis', 'without Redis'] as const)(
    '%s: a membership that is granted opens the project on every server, and one that is revoked takes it away',
    { timeout: 120_000 },
    async (redisState) => {
      if (redisState === 'without Redis') {
        await redis.kill()
        await redisIs(cluster, false)
      }
      const project = await ada.projects.insert({
        name: redisState,
        slug: redisState.replace(' ', '-').toLowerCase(),
        visibility: 'private',
      })
      await project.$write.wait('acknowledged')
      const followed = await ada.subscribe({ project: project.id }, { tables: ['tasks', 'projectMembers'] })
      await followed.ready
      const before = await ada.tasks.insert({ projectId: project.id, title: 'Secret' })
      await before.$write.wait('synced')
      for (const client of bens)
        await expect(
          (await client.subscribe({ project: project.id }, { tables: ['tasks'] })).ready,
        ).rejects.toMatchObject({
          code: 'forbidden',
        })

      const membership = await ada.projectMembers.insert({ projectId: project.id, userId: ben, role: 'member' })
      await membership.$write.wait('synced')
      const channels = await Promise.all(
        bens.map(async (client) => {
          const channel = await client.subscribe({ project: project.id }, { tables: ['tasks'] })
          await channel.ready
          return channel
        }),
      )
      const during = await ada.tasks.insert({ projectId: project.id, title: 'Shared' })
      for (const client of bens) for (const id of [before.id, during.id]) await seesTask(client, id)

      await ada.projectMembers.delete(membership.id)
      for (const channel of channels) {
        const { promise, resolve } = Promise.withResolvers<void>()
        channel.onState((state) => {
          if (state === 'revoked') resolve()
        })
        if (channel.state === 'revoked') resolve()
        await promise
      }
      const after = await ada.tasks.insert({ projectId: project.id, title: 'Secret again' })
      await after.$write.wait('synced')
      // What reaches them later says that this does not.
      const marker = await ada.tasks.insert({ projectId: cluster.projectId, title: 'For everyone' })
      for (const client of bens) await seesTask(client, marker.id)
      for (const client of bens) expect(await client.tasks.find({ where: { projectId: project.id } })).toEqual([])
    },
  )
})
