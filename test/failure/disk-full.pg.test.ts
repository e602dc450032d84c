// The disk of the database is full under load, and has room again.
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import { canMount, openSmallDisk, type SmallDisk } from './small-disk.ts'
import { expectLoggedOnce, isCurrent, openStage, untilStatus, type Stage } from './stage.ts'
import { addTask, expectOnce, keepWriting, keepWritingSql } from './writers.ts'

if (!canMount)
  process.stderr.write('LEFT OUT: a full disk of the database: nothing may be mounted here (CAP_SYS_ADMIN).\n')

describe.skipIf(!hasOwnCluster || !canMount)('a database without room', () => {
  let cluster: Cluster
  let disk: SmallDisk
  let stage: Stage
  let clients: readonly [Client, Client]

  beforeAll(async () => {
    cluster = await openCluster()
    disk = openSmallDisk(cluster)
    stage = await openStage({ cluster: cluster.url, tablespace: disk.tablespace })
    clients = [await stage.open('ada'), await stage.open('ben')]
  })
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
    await disk?.[Symbol.asyncDispose]()
  })

  test('says so, refuses nothing for good, and goes on when there is room: nothing is lost, nothing is double', async () => {
    const [ada, ben] = clients
    const { pid, log } = stage.server
    const since = log.length
    const writers = [keepWriting(stage, ada), keepWriting(stage, ben), keepWritingSql(stage)]
    await Promise.all(writers.map((writer) => writer.oneMore()))
    const health = stage.watchHealth()
    disk.fill()
    const bulk = stage.sql(
      `insert into tasks (organization_id, project_id, title, description)
       select organization_id, id, 'Too many', repeat('x', 5000) from projects, generate_series(1, 20000) where id = $1`,
      [stage.projectId],
    )
    await expect(bulk).rejects.toMatchObject({ code: '53100' })
    const full = ({ code }: { readonly code: string }): boolean => code === 'storage_full'
    const { body } = await stage.untilReady(
      ({ status, body }) => status === 503 && (body.troubles?.some(full) ?? false),
    )
    expect(body.troubles?.find(full)).toMatchObject({ remedy: expect.stringContaining('disk') })
    await stage.server.logged(({ code, remedy }) => code === 'storage_full' && remedy !== undefined, since)
    // A write of now waits on its device, and is told to nobody as an end.
    const waiting = await ada.tasks.insert({ projectId: stage.projectId, title: 'Without room' })
    expect(await ada.writes.find({ status: 'rejected' })).toEqual([])
    disk.free()
    await waiting.$write.wait('synced')
    // Whoever cannot write the log opens the slot anew, again and again.
    expect(await health.end('requests wait for a connection', 'the slot is taken anew')).toEqual(['storage_full'])
    for (const tide of clients) tide.connect()
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    await Promise.all(writers.map((writer) => writer.oneMore()))
    const titles = await Promise.all(writers.map((writer) => writer.stop()))
    await addTask(stage, 'With room again')
    for (const tide of clients) await tide.synced()
    for (const all of titles) await expectOnce(stage, all)
    await expectOnce(stage, new Set(['Without room']))
    await expectLoggedOnce(stage)
    await stage.expectEqual(clients)
    for (const tide of clients) expect(await tide.writes.find({ status: 'rejected' })).toEqual([])
    expect(stage.server.pid).toBe(pid)
    expect(log.slice(since).filter(({ level }) => level === 50).length).toBeLessThan(50)
  })
})
