// The server dies where it has promised something to one side only.
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { countLoads } from './count-loads.ts'
import type { Cause } from './health-record.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import { openPatience, type Patience } from './patience.ts'
import { expectLoggedOnce, isCurrent, isStale, openStage, untilStatus, type Stage } from './stage.ts'
import { tellAhead } from './tell-ahead.ts'
import { addTask, expectOnce, keepWriting, keepWritingSql } from './writers.ts'

describe.skipIf(!hasOwnCluster)('a server killed with SIGKILL', () => {
  let cluster: Cluster
  let stage: Stage
  let clients: readonly [Client, Client]

  beforeAll(async () => {
    cluster = await openCluster()
    stage = await openStage({ cluster: cluster.url })
    clients = [await stage.open('ada'), await stage.open('ben', 'pglite')]
  })
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  /** Until the log has the row's key; answers its position. */
  async function logged(id: string): Promise<string> {
    for (;;) {
      const [entry] = await stage.sql('select seq::text as seq from sync_changes where row_id = $1', [id])
      if (entry?.['seq'] !== undefined) return entry['seq']
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  /** What health says of a story beside what comes of these causes, and how often channels were loaded in it. */
  function beginWatch(
    ...made: readonly Cause[]
  ): () => Promise<{ readonly said: readonly string[]; readonly loads: number }> {
    const [loads, health] = [countLoads(clients), stage.watchHealth()]
    return async () => ({ said: await health.end('the slot is taken anew', ...made), loads: loads() })
  }
  const onlyGone = { said: ['0'], loads: 0 }

  async function comeBack(wait: Patience = openPatience(stage)): Promise<void> {
    await wait('the server has started', stage.server.restart())
    for (const tide of clients) tide.connect()
    await wait('the clients are current', Promise.all(clients.map((tide) => untilStatus(tide, isCurrent))))
    await wait('the server is ready', stage.untilReady())
  }

  test('between the log and the answer to the writer: the write is there once, and its writer learns so', async () => {
    const watched = beginWatch()
    const [ada] = clients
    const wait = openPatience(stage)
    const setStandby = async (statement: string): Promise<void> => {
      await wait('the setting is made', stage.sql(statement))
      await wait('the setting is heard', stage.sql('select pg_reload_conf()'))
    }
    // With a standby that never comes, the commit is durable and logged, and whoever committed is not told.
    await setStandby(`alter system set synchronous_standby_names = 'nobody'`)
    const inserted = ada.tasks.insert({ projectId: stage.projectId, title: 'Half told' })
    const task = await wait('the client has its write', inserted)
    await wait('the write is in the log', logged(task.id))
    expect(task.$write.status).toBe('syncing')
    await wait('the server is gone', stage.server.crash())
    await wait('the client knows', untilStatus(ada, isStale))
    expect((await wait('nobody answers', stage.ready())).status).toBe(0)
    await setStandby('alter system reset synchronous_standby_names')
    await comeBack(wait)
    await wait('the writer learns of its write', task.$write.wait('synced'))
    expect(await wait('it has an outcome', task.$write.outcome)).toMatchObject({ kind: 'applied' })
    await wait('the write is there', expectOnce(stage, new Set(['Half told'])))
    const count = 'select count(*)::integer as count from sync_mutations where row_id = $1'
    const [ledger] = await wait('the ledger is read', stage.sql(count, [task.id]))
    expect(ledger).toEqual({ count: 1 })
    await wait('the clients are equal to the database', stage.expectEqual(clients))
    expect(await watched()).toEqual(onlyGone)
  })

  test('with a slot that has forgotten the confirmation: Postgres sends it again, and it is logged once', async () => {
    const watched = beginWatch('another epoch begins')
    const seq = await logged(await addTask(stage, 'Not confirmed'))
    await stage.server.crash()
    // A slot is written to the disk at checkpoints: a crash takes its position back.
    await cluster.kill()
    await cluster.start()
    const [slot] = await stage.sql<{ behind: boolean }>(
      `select confirmed_flush_lsn - '0/0' < $1::numeric as behind from pg_replication_slots where database = current_database()`,
      [seq],
    )
    expect(slot).toEqual({ behind: true })
    await comeBack()
    await expectLoggedOnce(stage)
    await stage.expectEqual(clients)
    expect(await watched()).toEqual(onlyGone)
  })

  test('after telling clients of a commit that is not in the log yet: what they have stays true, and nobody loads anything again', async () => {
    const watched = beginWatch()
    const id = await addTask(stage, 'To be told')
    const entries = (): ReturnType<Stage['sql']> => stage.sql('select seq from sync_changes where row_id = $1', [id])
    await expect.poll(entries, { timeout: 60_000 }).toHaveLength(1)
    const { release } = await tellAhead(stage, clients, id)
    const before = await entries()
    await stage.server.crash()
    await release()
    await comeBack()
    await expect.poll(entries, { timeout: 60_000 }).toHaveLength(before.length + 1)
    await expectLoggedOnce(stage)
    await stage.expectEqual(clients)
    expect(await watched()).toEqual(onlyGone)
  })

  test('again and again while everyone writes: nothing is lost, nothing is double', async () => {
    const watched = beginWatch()
    const [ada, ben] = clients
    const writers = [keepWriting(stage, ada), keepWriting(stage, ben), keepWritingSql(stage)]
    for (let round = 0; round < 2; round++) {
      await Promise.all(writers.map((writer) => writer.oneMore()))
      await stage.server.crash()
      await comeBack()
    }
    await Promise.all(writers.map((writer) => writer.oneMore()))
    const titles = await Promise.all(writers.map((writer) => writer.stop()))
    for (const tide of clients) await tide.synced()
    for (const each of titles) await expectOnce(stage, each)
    await expectLoggedOnce(stage)
    await stage.expectEqual(clients)
    expect(await watched()).toEqual(onlyGone)
  })
})
