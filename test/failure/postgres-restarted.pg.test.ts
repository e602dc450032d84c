// The database goes away under load and comes back: in order, and killed.
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { countLoads } from './count-loads.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import { expectLoggedOnce, isCurrent, openStage, untilStatus, type Stage } from './stage.ts'
import { tellAhead } from './tell-ahead.ts'
import { addTask, expectOnce, keepWriting, keepWritingSql } from './writers.ts'

describe.skipIf(!hasOwnCluster)('Postgres restarted under load', () => {
  let cluster: Cluster
  let stage: Stage
  let clients: readonly [Client, Client]

  beforeAll(async () => {
    cluster = await openCluster()
    stage = await openStage({ cluster: cluster.url })
    clients = [await stage.open('ada'), await stage.open('ben')]
  })
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  const ends = [
    ['fast', () => cluster.stop('fast')],
    ['killed, with recovery from the WAL', () => cluster.kill()],
  ] as const

  test.for(ends)('%s: every acknowledged write is there once, and nobody misses one', async ([, end]) => {
    const { pid, log } = stage.server
    const [since, loads, health] = [log.length, countLoads(clients), stage.watchHealth()]
    const writers = [...clients.map((tide) => keepWriting(stage, tide)), keepWritingSql(stage)]
    await Promise.all(writers.map((writer) => writer.oneMore()))
    await end()
    // What was under way when it ended may have failed in another way: in the end all say the same.
    await stage.untilReady(
      ({ status, body: { troubles = [] } }) =>
        status === 503 && troubles.length > 0 && troubles.every(({ code }) => code === 'database_unreachable'),
    )
    await stage.server.logged(({ code, remedy }) => code === 'database_unreachable' && remedy !== undefined, since)
    await cluster.start()
    await stage.untilReady()
    for (const tide of clients) tide.connect()
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    await Promise.all(writers.map((writer) => writer.oneMore()))
    const titles = await Promise.all(writers.map((writer) => writer.stop()))
    for (const tide of clients) await tide.synced()
    for (const all of titles) await expectOnce(stage, all)
    await expectLoggedOnce(stage)
    await stage.expectEqual(clients)
    expect(loads()).toBe(0)
    expect(await health.end('the slot is taken anew', 'another epoch begins')).toEqual(['database_unreachable'])
    expect(stage.server.pid).toBe(pid)
    expect(log.slice(since).filter(({ level }) => level === 50).length).toBeLessThan(20)
  })

  test.for(ends)('%s: who was told of a commit that is not in the log yet loads nothing again', async ([, end]) => {
    const [since, loads] = [stage.server.log.length, countLoads(clients)]
    const id = await addTask(stage, 'To be told')
    const { release } = await tellAhead(stage, clients, id)
    await end()
    await release()
    await cluster.start()
    await stage.untilReady()
    for (const tide of clients) tide.connect()
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    await addTask(stage, 'After it')
    await stage.expectEqual(clients)
    await expectLoggedOnce(stage)
    await stage.server.logged(
      ({ msg }) => msg === 'Postgres was started anew; clients go on from where they are',
      since,
    )
    expect(loads()).toBe(0)
  })
})
