// The disk of the WAL is full under load: Postgres panics, as it does, until there is room and somebody starts it
// again.
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { isRoot, onPath, run } from '../../scripts/processes.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import { expectLoggedOnce, isCurrent, openStage, untilStatus, type Stage } from './stage.ts'
import { addTask, expectOnce, keepWriting, keepWritingSql } from './writers.ts'

const canLimit = onPath(['prlimit']) !== undefined && (!isRoot() || onPath(['setpriv']) !== undefined)
if (!canLimit) process.stderr.write('LEFT OUT: a full disk of the WAL: no prlimit and setpriv (util-linux) here.\n')

describe.skipIf(!hasOwnCluster || !canLimit)('a WAL without room', () => {
  let cluster: Cluster
  let stage: Stage
  let clients: readonly [Client, Client]

  beforeAll(async () => {
    cluster = await openCluster({ min_wal_size: '32MB', max_wal_size: '64MB' })
    stage = await openStage({ cluster: cluster.url })
    clients = [await stage.open('ada'), await stage.open('ben', 'pglite')]
  })
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  /**
   * No new segment of the WAL can be written from now on: they have 16 MB, and no file of these processes may be
   * greater than 12. Postgres meets it where it meets a full disk, and needs no right to mount one.
   */
  function fillUp(): void {
    const postmaster = readFileSync(join(cluster.data, 'postmaster.pid'), 'utf8').split('\n', 1)[0] ?? ''
    const children = run(['ps', '-o', 'pid=', '--ppid', postmaster], { quiet: true }).split(/\s+/)
    const { uid, gid } = statSync(cluster.data)
    const owner = isRoot() ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--'] : []
    // The postmaster first: whom it starts later is limited as it is. One that has ended meanwhile needs no limit.
    for (const pid of [postmaster, ...children.filter((child) => child !== '')])
      try {
        run([...owner, 'prlimit', '--pid', pid, `--fsize=${12 * 1024 ** 2}:`], { quiet: true })
      } catch (error) {
        if (pid === postmaster) throw error
      }
  }

  const growWal = () =>
    stage.sql(`select pg_logical_emit_message(false, 'noise', repeat('x', 8000000)) from generate_series(1, 12)`)

  test('is said while it lasts, and after a start with room nothing that was acknowledged is lost, and all go on', async () => {
    const { pid, log } = stage.server
    const since = log.length
    const writers = [...clients.map((tide) => keepWriting(stage, tide)), keepWritingSql(stage)]
    await Promise.all(writers.map((writer) => writer.oneMore()))
    const health = stage.watchHealth()
    fillUp()
    await expect(growWal()).rejects.toBeInstanceOf(Error)
    await health.until('database_unreachable')
    const waiting = await clients[0].tasks.insert({ projectId: stage.projectId, title: 'While the WAL was full' })
    await cluster.stop('immediate')
    await cluster.start()
    await growWal()
    await waiting.$write.wait('synced')
    for (const tide of clients) tide.connect()
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    await Promise.all(writers.map((writer) => writer.oneMore()))
    const titles = await Promise.all(writers.map((writer) => writer.stop()))
    await addTask(stage, 'With room again')
    expect(await health.end('the slot is taken anew', 'another epoch begins')).toEqual(['database_unreachable'])
    await stage.expectEqual(clients)
    for (const all of titles) await expectOnce(stage, all)
    await expectOnce(stage, new Set(['While the WAL was full']))
    await expectLoggedOnce(stage)
    for (const tide of clients) expect(await tide.writes.find({ status: 'rejected' })).toEqual([])
    expect(stage.server.pid).toBe(pid)
    expect(log.slice(since).filter(({ level }) => level === 50).length).toBeLessThan(50)
  })
})
