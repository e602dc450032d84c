// The one witness of commits goes: dropped by hand, thrown away by Postgres, or its publication taken away.
import type { Client } from '@tidewire/client'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import type { LogLine } from '../support/server-process.ts'
import { isCurrent, openStage, untilStatus, type Stage } from './stage.ts'
import { addTask, expectOnce, keepWriting } from './writers.ts'

describe.skipIf(!hasOwnCluster)('a slot that is lost', () => {
  let cluster: Cluster
  let stage: Stage
  let clients: readonly [Client, Client]

  beforeAll(async () => {
    cluster = await openCluster({ max_slot_wal_keep_size: '16MB', min_wal_size: '32MB', max_wal_size: '64MB' })
    stage = await openStage({ cluster: cluster.url })
    clients = [await stage.open('ada'), await stage.open('ben')]
  })
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  const epoch = async (): Promise<string> => (await stage.sql('select epoch from sync_heads'))[0]?.['epoch'] ?? ''
  const inThisDatabase = 'from pg_replication_slots where database = current_database()'
  const gap = ({ code }: LogLine): boolean => code === 'capture_gap'

  async function everyoneIsBack(): Promise<void> {
    await stage.untilReady()
    for (const tide of clients) tide.connect()
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    await stage.expectEqual(clients)
  }

  test('is noticed when it is dropped under a running server: a new one, a new epoch, nobody misses what nothing captured', async () => {
    const [ada, ben] = clients
    await addTask(stage, 'Before the slot')
    const [before, since, { pid }] = [await epoch(), stage.server.log.length, stage.server]
    const [writer, health] = [keepWriting(stage, ada), stage.watchHealth()]
    await writer.oneMore()
    ben.disconnect()
    // Nobody can make a slot while a transaction is open that has written: the trouble lasts until it ends.
    const open = new pg.Client({ connectionString: stage.url })
    await open.connect()
    await open.query('begin')
    await open.query(`update tasks set description = 'While a slot was made' where title = 'Before the slot'`)
    // Stopped as a whole, the server cannot take the slot again before it is dropped.
    process.kill(pid, 'SIGSTOP')
    await stage.sql(`select pg_terminate_backend(active_pid, 60000) ${inThisDatabase} and active`)
    await stage.sql(`select pg_drop_replication_slot(slot_name) ${inThisDatabase}`)
    await addTask(stage, 'While nothing captured')
    process.kill(pid, 'SIGCONT')
    await health.until('capture_unavailable')
    await open.query('commit')
    await open.end()
    expect(await stage.server.logged(gap, since)).toMatchObject({ level: 50, slot: 'lost', remedy: expect.any(String) })
    const titles = await writer.stop()
    await everyoneIsBack()
    expect(await epoch()).not.toBe(before)
    await expectOnce(stage, titles)
    expect(await health.end('the slot is taken anew', 'another epoch begins')).toEqual(['capture_unavailable'])
    expect(stage.server.pid).toBe(pid)
  })

  test('is noticed when Postgres threw it away while the server was down', async () => {
    const [ada] = clients
    const [before, since, health] = [await epoch(), stage.server.log.length, stage.watchHealth()]
    await stage.server.crash()
    await health.until('0')
    const own = await ada.tasks.insert({ projectId: stage.projectId, title: 'Written offline' })
    await addTask(stage, 'Captured by nobody')
    for (;;) {
      const [slot] = await stage.sql(`select wal_status as state ${inThisDatabase}`)
      if (slot?.['state'] === 'lost') break
      await stage.sql(`select pg_logical_emit_message(false, 'noise', repeat('x', 8000000)) from generate_series(1, 3)`)
      await stage.sql('select pg_switch_wal()')
      await stage.sql('checkpoint')
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    // Of a server that is down nobody says that it is well.
    expect(health.said.at(-1)).toBe('0')
    await stage.server.restart()
    expect(await stage.server.logged(gap, since)).toMatchObject({ slot: 'lost' })
    await everyoneIsBack()
    await own.$write.wait('synced')
    await expectOnce(stage, new Set(['Written offline', 'Captured by nobody']))
    expect(await epoch()).not.toBe(before)
    expect(
      await health.end('the slot is taken anew', 'another epoch begins', 'the slot keeps more than it may'),
    ).toEqual(['0'])
  })
})
