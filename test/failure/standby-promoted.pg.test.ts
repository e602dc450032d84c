// The primary is lost and a standby takes its place, under the address that it had: with a part of the WAL that never
// got there, and with the slot of the log brought along (`sync_replication_slots`).
import type { Client } from '@tidewire/client'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { openForwarder, type Forwarder } from './forwarder.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import { openPatience } from './patience.ts'
import { expectLoggedOnce, isCurrent, openStage, untilStatus, type Stage } from './stage.ts'
import { startStandby, type Standby } from './standby.ts'
import { addTask, expectOnce, keepWriting, keepWritingSql } from './writers.ts'

const slots = ['a slot of its own is made', 'the slot was brought along'] as const

describe.skipIf(!hasOwnCluster).each(slots)('a standby that is promoted, where %s', (kind) => {
  const bringsSlot = kind === 'the slot was brought along'
  let cluster: Cluster
  let standby: Standby
  let forwarder: Forwarder
  let stage: Stage
  let clients: readonly [Client, Client, Client]

  beforeAll(async () => {
    cluster = await openCluster()
    await onPrimary(`select pg_create_physical_replication_slot('standby', true)`)
    standby = await startStandby(cluster, {
      slot: 'standby',
      settings: bringsSlot ? { sync_replication_slots: 'on', hot_standby_feedback: 'on' } : {},
    })
    if (bringsSlot) {
      await onPrimary(`alter system set synchronized_standby_slots = 'standby'`)
      await onPrimary('select pg_reload_conf()')
    }
    forwarder = await openForwarder(cluster.port)
    const url = Object.assign(new URL(cluster.url), { port: String(forwarder.port) }).href
    stage = await openStage({ cluster: url })
    clients = [await stage.open('ada'), await stage.open('ben', 'pglite'), await stage.open('cy', 'pglite')]
  })
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]()
    await forwarder?.[Symbol.asyncDispose]()
    standby?.stop()
    await cluster?.[Symbol.asyncDispose]()
  })

  async function onPrimary(text: string): Promise<void> {
    const client = new pg.Client({ connectionString: cluster.url })
    await client.connect()
    await client.query(text).finally(() => client.end())
  }

  const epoch = async (): Promise<unknown> => (await stage.sql('select epoch from sync_heads'))[0]

  /** Whether the standby has applied all that the primary has written. */
  async function untilStandbyHasAll(): Promise<void> {
    const [at] = await stage.sql('select pg_current_wal_lsn()::text as lsn')
    await expect
      .poll(
        async () => (await standby.query(`select pg_last_wal_replay_lsn() >= '${at?.['lsn']}' as has`))[0]?.['has'],
        {
          timeout: 60_000,
        },
      )
      .toBe(true)
  }

  test('nobody has anything that the new primary lacks, and what clients wrote is there once, what it lacked included', async () => {
    const wait = openPatience(stage)
    const [ada, ben, cy] = clients
    const { pid } = stage.server
    const [before, health] = [await epoch(), stage.watchHealth()]
    const writers = [keepWriting(stage, ada), keepWriting(stage, ben)]
    const sqlWriter = keepWritingSql(stage)
    await wait('all have written', Promise.all([...writers, sqlWriter].map((writer) => writer.oneMore())))
    const titles = [...(await Promise.all(writers.map((writer) => writer.stop()))), await sqlWriter.stop()]
    await stage.expectEqual(clients)
    await wait('the standby has all', untilStandbyHasAll())
    if (bringsSlot)
      await expect
        .poll(
          async () =>
            (await standby.query('select synced and not temporary as ready from pg_replication_slots'))[0]?.['ready'],
          { timeout: 60_000 },
        )
        .toBe(true)

    // From here on the primary works for itself: what it commits now is lost with it.
    await standby.query(`alter system set primary_conninfo = ''`)
    await standby.query('select pg_reload_conf()')
    await expect
      .poll(async () => standby.query('select from pg_stat_wal_receiver'), { timeout: 60_000 })
      .toHaveLength(0)
    cy.disconnect()
    const offline = await cy.tasks.insert({ projectId: stage.projectId, title: 'Written offline' })
    const lost = await addTask(stage, 'Lost with the primary')
    const own = await ada.tasks.insert({ projectId: stage.projectId, title: 'Acknowledged by the primary' })
    await wait('the primary has acknowledged', own.$write.wait('acknowledged'))
    // Where the slot waits for the standby, nobody is shown what only the primary has.
    if (!bringsSlot) await expect.poll(() => ben.tasks.get(lost), { timeout: 60_000 }).toBeDefined()
    await cluster.kill()
    await wait('health tells it', health.until('database_unreachable'))
    if (bringsSlot) expect(await ben.tasks.get(lost)).toBeUndefined()

    await standby.promote()
    forwarder.leadTo(standby.port)
    const other = await addTask(stage, 'After the failover')
    await wait('the server is ready', stage.untilReady())
    for (const tide of clients) tide.connect()
    await wait('the clients are current', Promise.all(clients.map((tide) => untilStatus(tide, isCurrent))))
    await wait('what was written offline is there', offline.$write.wait('synced'))
    const again = (): Promise<unknown> =>
      stage.sql('select id from tasks where title = $1', ['Acknowledged by the primary'])
    await expect.poll(again, { timeout: 60_000 }).toHaveLength(1)
    await stage.expectEqual(clients)
    for (const tide of clients) {
      expect(await tide.tasks.get(lost)).toBeUndefined()
      expect(await tide.tasks.get(other)).toMatchObject({ title: 'After the failover' })
    }
    for (const all of titles) await expectOnce(stage, all)
    await expectOnce(stage, new Set(['Written offline', 'Acknowledged by the primary']))
    await expectLoggedOnce(stage)
    expect(await epoch()).not.toEqual(before)
    expect(await health.end('the slot is taken anew', 'another epoch begins')).toEqual(['database_unreachable'])
    expect(stage.server.pid).toBe(pid)
  })
})
