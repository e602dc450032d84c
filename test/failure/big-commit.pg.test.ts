// One transaction of half a million rows: nobody waits for it, and the server stays small.
import type { Client } from '@tidewire/client'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import { openStage, type Stage } from './stage.ts'
import { addTask, keepWriting } from './writers.ts'

const rows = 500_000
/** Of the server's JavaScript, megabytes: with more alive at any time it dies. */
const heap = 256
/** docs/operations.md, "Sizing". Bytes. */
const mayGrow = 256 * 1024 ** 2

describe.skipIf(!hasOwnCluster)('a big commit', () => {
  // Its own: a long transaction lets all wait who make a slot in the same Postgres.
  let cluster: Cluster
  let stage: Stage
  let follower: Client
  let other: Client

  beforeAll(async () => {
    cluster = await openCluster()
    stage = await openStage({
      cluster: cluster.url,
      env: {
        NODE_OPTIONS: `--conditions=tidewire:source --disable-warning=ExperimentalWarning --max-old-space-size=${heap}`,
      },
    })
    follower = await stage.open('follower')
    await (
      await follower.subscribe({ project: stage.projectId }, { tables: ['phases'] })
    ).ready
    other = await stage.open('other')
  })
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  /** The most that was seen of some metrics until it is stopped. */
  function watchMetrics(...names: readonly string[]): () => Promise<readonly number[]> {
    let stopped = false
    const most = names.map(() => 0)
    const run = async (): Promise<void> => {
      while (!stopped) {
        const values = await Promise.all(names.map((name) => stage.metric(name)))
        for (const [index, value] of values.entries()) most[index] = Math.max(most[index] ?? 0, value)
        await new Promise((resolve) => setTimeout(resolve, 250))
      }
    }
    const running = run()
    return async () => {
      stopped = true
      await running
      return most
    }
  }

  test('half a million rows in one transaction: others get commits before and after it, its follower all of it, in bounded memory', async () => {
    const { pid } = stage.server
    const before = await stage.metric('process_resident_memory_bytes')
    const watch = watchMetrics('process_resident_memory_bytes', 'tidewire_capture_lag_bytes')
    const connections = new Set([other.status.connection])
    const stopListening = other.onStatus(({ connection }) => connections.add(connection))
    const writer = keepWriting(stage, other)
    const arrived = async (id: string): Promise<void> => {
      await expect.poll(() => other.tasks.get(id), { timeout: 120_000, interval: 20 }).toBeTruthy()
    }

    const importer = new pg.Client({ connectionString: stage.url })
    await importer.connect()
    // As an import does it: without foreign keys. Triggers that sync needs run all the same.
    await importer.query(`set session_replication_role = replica`)
    await importer.query('begin')
    await importer.query(
      `insert into phases (organization_id, project_id, title) select organization_id, id, n::text from projects, generate_series(1, $2::integer) n where id = $1`,
      [stage.projectId, rows],
    )
    await arrived(await addTask(stage, 'While it is open'))
    expect(await follower.phases.find({ where: { title: '1' } })).toEqual([])
    await importer.query('commit')
    await importer.end()
    // One after the other: each has arrived before the next is written, and all of them while the big one is being
    // delivered.
    for (let n = 0; n < 5; n++) {
      await arrived(await addTask(stage, `After it ${n}`))
      expect(await follower.phases.find({ where: { title: '1' } })).toEqual([])
    }

    await expect
      .poll(() => follower.phases.find({ where: { title: String(rows) } }), { timeout: 120_000, interval: 250 })
      .toHaveLength(1)
    // Whole: from one moment to the next all rows are there.
    expect(await follower.phases.find({})).toHaveLength(rows)
    await writer.stop()
    await other.synced()
    expect(await follower.verify()).toEqual({ equal: true })
    await stage.expectEqual([other, follower])
    await stage.untilReady()

    stopListening()
    expect([...connections]).toEqual(['live'])
    const [memory = 0, lag] = await watch()
    expect(memory - before).toBeLessThan(mayGrow)
    expect(lag).toBeGreaterThan(0)
    expect(stage.server.pid).toBe(pid)
    const entries = await stage.sql(`select keys::integer as keys from sync.big_commits`)
    expect(entries).toEqual([{ keys: rows }])
  }, 300_000)
})
