// Somebody puts an older copy of the database in its place: the same system, whose log goes back and then grows another
// way.
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { countLoads } from './count-loads.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import { expectLoggedOnce, isCurrent, isStale, openStage, untilStatus, type Stage } from './stage.ts'
import { addTask, expectOnce } from './writers.ts'

describe.skipIf(!hasOwnCluster)('a database restored from an older copy of itself', () => {
  let cluster: Cluster
  let stage: Stage
  let clients: readonly [Client, Client, Client]

  beforeAll(async () => {
    cluster = await openCluster()
    stage = await openStage({ cluster: cluster.url })
    clients = [await stage.open('ada'), await stage.open('ben', 'pglite'), await stage.open('cy')]
  })
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  const written = async (): Promise<number> =>
    Number((await stage.sql(`select pg_current_wal_lsn() - '0/0' as at`))[0]?.['at'])

  async function everyoneIsBack(): Promise<void> {
    await stage.untilReady()
    for (const tide of clients) tide.connect()
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
  }

  test('a start of Postgres alone begins another epoch, and nobody loads anything again', async () => {
    const epoch = async (): Promise<unknown> => (await stage.sql('select epoch from sync_heads'))[0]
    const [before, loads, health] = [await epoch(), countLoads(clients), stage.watchHealth()]
    const [ada, ben] = clients
    ben.disconnect()
    await cluster.stop()
    await Promise.all([ada, ben].map((tide) => untilStatus(tide, isStale)))
    await health.until('database_unreachable')
    cluster.copyTo('backup')
    await cluster.start()
    await addTask(stage, 'After the start')
    await everyoneIsBack()
    await stage.expectEqual(clients)
    expect(await epoch()).not.toEqual(before)
    expect(loads()).toBe(0)
    expect(await health.end('the slot is taken anew', 'another epoch begins')).toEqual(['database_unreachable'])
  })

  test.for(['lives through it', 'is down meanwhile'] as const)(
    'what the copy lacks is gone everywhere and what it has reaches everybody, when the server %s',
    async (server) => {
      const [ada, ben, cy] = clients
      const { pid } = stage.server
      const name = server.slice(0, 5)
      // Seen by all, told by nobody's ledger.
      const [gone, changed] = [await addTask(stage, `Gone ${name}`), (await ada.tasks.find({ limit: 1 }))[0]?.id]
      await stage.sql(`update tasks set title = $2 where id = $1`, [changed, `Lost ${name}`])
      const own = await ada.tasks.insert({ projectId: stage.projectId, title: `Acknowledged ${name}` })
      await own.$write.wait('synced')
      await stage.expectEqual(clients)
      const [end, health] = [await written(), stage.watchHealth()]
      // One has a cursor of the time after the copy and is away, one is away with a write, one stays.
      ben.disconnect()
      cy.disconnect()
      const offline = await cy.tasks.insert({ projectId: stage.projectId, title: `Offline ${name}` })
      if (server === 'is down meanwhile') await stage.server.crash()
      await cluster.stop()
      await health.until(server === 'is down meanwhile' ? '0' : 'database_unreachable')
      cluster.restoreFrom('backup')
      await cluster.start()
      const other = await addTask(stage, `Other history ${name}`)
      // The new history grows past the old one: positions alone would tell nothing.
      while ((await written()) <= end) {
        await stage.sql(`select pg_logical_emit_message(false, 'noise', repeat('x', 1000000))`)
        await addTask(stage, 'Grows')
      }
      if (server === 'is down meanwhile') await stage.server.restart()
      await everyoneIsBack()
      await offline.$write.wait('synced')
      // A device that stayed has not noticed yet that it is another database: when it has, it sends again what the copy
      // lacks.
      const again = () => stage.sql('select id from tasks where title = $1', [`Acknowledged ${name}`])
      await expect.poll(again, { timeout: 120_000, interval: 50 }).toHaveLength(1)
      await stage.expectEqual(clients)
      for (const tide of clients) {
        expect(await tide.tasks.get(gone)).toBeUndefined()
        expect(await tide.tasks.get(other)).toMatchObject({ title: `Other history ${name}` })
        expect(await tide.tasks.find({ where: { title: `Lost ${name}` } })).toEqual([])
      }
      await expectOnce(stage, new Set([`Acknowledged ${name}`, `Offline ${name}`]))
      await expectLoggedOnce(stage)
      const told = server === 'is down meanwhile' ? '0' : 'database_unreachable'
      expect(await health.end('the slot is taken anew', 'another epoch begins')).toEqual([told])
      if (server === 'lives through it') expect(stage.server.pid).toBe(pid)
    },
  )
})
