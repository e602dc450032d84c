// Nobody changes anything for longer than connections may be silent, while other databases of the same Postgres write
// WAL.
import type { Client } from '@tidewire/client'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { openReplication } from '../../server/capture/wal/replication-client.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import { isCurrent, openStage, untilStatus, type Stage } from './stage.ts'
import { addTask } from './writers.ts'

describe.skipIf(!hasOwnCluster)('a database in which nothing happens', () => {
  let cluster: Cluster
  let stage: Stage
  let clients: readonly [Client, Client]
  let others: pg.Client

  beforeAll(async () => {
    // After 6 s without a sign of life Postgres cuts a reader off; it asks for one after 3 s.
    cluster = await openCluster({ wal_sender_timeout: '6s', min_wal_size: '32MB', max_wal_size: '64MB' })
    stage = await openStage({ cluster: cluster.url })
    clients = [await stage.open('ada'), await stage.open('ben')]
    others = new pg.Client({ connectionString: cluster.url })
    await others.connect()
    await others.query('create table noise (n integer, text text)')
  })
  afterAll(async () => {
    await others?.end()
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  /** Another database writes more WAL than is kept without need; answers where it ends, as an LSN. */
  async function writeElsewhere(): Promise<string> {
    await others.query(`insert into noise select n, repeat('x', 1000) from generate_series(1, 40000) n`)
    await others.query('checkpoint')
    const { rows } = await others.query<{ lsn: string }>('select pg_current_wal_flush_lsn()::text as lsn')
    return rows[0]?.lsn ?? ''
  }

  /** Waits until a slot is confirmed up to there. */
  async function confirmed(slot: string, lsn: string): Promise<void> {
    await expect
      .poll(
        async () => {
          const { rows } = await others.query<{ done: boolean }>(
            'select confirmed_flush_lsn >= $2::pg_lsn as done from pg_replication_slots where slot_name like $1',
            [slot, lsn],
          )
          return rows[0]?.done
        },
        { timeout: 60_000 },
      )
      .toBe(true)
  }

  test('holds no WAL for what others write, stays connected, and is as quick as ever afterwards', async () => {
    const reader = async (): Promise<unknown> =>
      (await stage.sql(`select active_pid from pg_replication_slots where slot_name like 'tidewire%'`))[0]
    const [before, began, health] = [await reader(), performance.now(), stage.watchHealth()]
    do await confirmed('tidewire%', await writeElsewhere())
    while (performance.now() - began < 8000)
    // Where it would restart follows what is confirmed as Postgres notes running transactions, some seconds later.
    await expect
      .poll(
        async () =>
          (
            await stage.sql<{ state: string; restarts: boolean }>(
              `select wal_status as state, pg_current_wal_lsn() - restart_lsn < 64 * 1024 * 1024 as restarts from pg_replication_slots where slot_name like 'tidewire%'`,
            )
          )[0],
        { timeout: 60_000 },
      )
      .toEqual({ state: 'reserved', restarts: true })
    expect(await reader()).toEqual(before)
    expect(await health.end()).toEqual([])
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    await addTask(stage, 'After the silence')
    await stage.expectEqual(clients)
  })

  test('is confirmed by keepalives alone: nothing is logged, not even a sign of life', async () => {
    await stage.server.stop()
    const connection = { connectionString: stage.url }
    const own = new pg.Client(connection)
    await own.connect()
    await own.query('create publication silence')
    await own.query(`select pg_create_logical_replication_slot('silence', 'pgoutput')`)
    let [messages, confirm] = [0, (_lsn: number): void => undefined]
    const stream = await openReplication({
      connection,
      clock: systemClock,
      slot: 'silence',
      publication: 'silence',
      onMessage: () => messages++,
      onPosition: (lsn) => confirm(lsn),
    })
    confirm = (lsn) => stream.confirm(lsn)
    await confirmed('silence', await writeElsewhere())
    expect(messages).toBe(0)
    await stream.close()
    await own.end()
  })
})
