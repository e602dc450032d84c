// Postgres throws the slot away under a server that runs: a transaction that stays open keeps more WAL than the slot
// may.
import type { Client } from '@tidewire/client'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import { isCurrent, openStage, untilStatus, type Stage } from './stage.ts'
import { addTask, expectOnce, keepWriting } from './writers.ts'

describe.skipIf(!hasOwnCluster)('a slot that is outrun', () => {
  let cluster: Cluster
  let stage: Stage
  let clients: readonly [Client, Client]
  let open: pg.Client

  beforeAll(async () => {
    cluster = await openCluster({ max_slot_wal_keep_size: '16MB', min_wal_size: '32MB', max_wal_size: '64MB' })
    stage = await openStage({ cluster: cluster.url })
    clients = [await stage.open('ada'), await stage.open('ben')]
    open = new pg.Client({ connectionString: stage.url })
    await open.connect()
  })
  afterAll(async () => {
    await open?.end()
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  test('is made anew by the server that runs: what was written meanwhile, and that transaction, reach everybody', async () => {
    const [ada, ben] = clients
    const { pid, log } = stage.server
    const [since, health] = [log.length, stage.watchHealth()]
    const writer = keepWriting(stage, ada)
    await writer.oneMore()
    await open.query('begin')
    await open.query(
      `insert into tasks (organization_id, project_id, title) select organization_id, id, 'Long open' from projects where id = $1`,
      [stage.projectId],
    )
    ben.disconnect()
    const thrownAway = async (): Promise<boolean> => {
      await stage.sql(`select pg_logical_emit_message(false, 'noise', repeat('x', 8000000)) from generate_series(1, 3)`)
      await stage.sql('checkpoint')
      const [slot] = await stage.sql<{ usable: boolean }>(
        `select wal_status <> 'lost' and confirmed_flush_lsn is not null as usable from pg_replication_slots where database = current_database()`,
      )
      return slot?.usable !== true
    }
    await expect.poll(thrownAway, { timeout: 120_000, interval: 50 }).toBe(true)
    const unseen = await addTask(stage, 'While nothing captured')
    // A new slot waits for that transaction, and the server says so.
    await health.until('capture_unavailable')
    await open.query('commit')
    const line = await stage.server.logged(({ code }) => code === 'capture_gap', since)
    expect(line).toMatchObject({ level: 50, slot: 'lost', remedy: expect.stringContaining('max_slot_wal_keep_size') })
    expect(
      await health.end('the slot is taken anew', 'another epoch begins', 'the slot keeps more than it may'),
    ).toEqual(['capture_unavailable'])
    for (const tide of clients) tide.connect()
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    await writer.oneMore()
    const titles = await writer.stop()
    await stage.expectEqual(clients)
    for (const tide of clients) {
      expect(await tide.tasks.get(unseen)).toMatchObject({ title: 'While nothing captured' })
      expect(await tide.tasks.find({ where: { title: 'Long open' } })).toHaveLength(1)
    }
    await expectOnce(stage, titles)
    expect(stage.server.pid).toBe(pid)
  })
})
