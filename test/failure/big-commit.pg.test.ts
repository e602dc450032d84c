// One transaction of half a million rows, of each kind: nobody waits for it, and the server stays small.
import type { Client } from '@tidewire/client'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { countLoads } from './count-loads.ts'
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
  let pid: number
  /** Resident memory before the first of them. */
  let before: number
  let watch: () => Promise<readonly number[]>

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
    ;({ pid } = stage.server)
    before = await stage.metric('process_resident_memory_bytes')
  })
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  const arrived = async (id: string): Promise<void> => {
    await expect.poll(() => other.tasks.get(id), { timeout: 120_000, interval: 20 }).toBeTruthy()
  }
  /** Titles of the first row of a big commit and of its last one. */
  const [none, plain, marked] = [
    [null, null],
    ['1', `${rows}`],
    ['1!', `${rows}!`],
  ] as const
  type Ends = typeof none | typeof plain | typeof marked
  /** Their ids. */
  let ends: readonly string[] = []
  const having = async (): Promise<readonly (string | null)[]> =>
    (await Promise.all(ends.map((id) => follower.phases.get(id)))).map((row) => row?.title ?? null)
  const has = async (titles: Ends): Promise<void> => expect(await having()).toEqual(titles)
  /** Until the follower has what a commit made of its rows: at every look until then it has all of before it. */
  async function becomes(before: Ends, after: Ends): Promise<void> {
    const seen = new Set<string>()
    const look = async (): Promise<readonly (string | null)[]> => {
      const titles = await having()
      seen.add(titles.join())
      return titles
    }
    await expect.poll(look, { timeout: 120_000, interval: 100 }).toEqual(after)
    expect([before.join(), after.join()]).toEqual(expect.arrayContaining([...seen]))
  }
  const entries = () => stage.sql<{ keys: number }>('select keys::integer as keys from sync.big_commits order by seq')

  /**
   * Runs a statement in a transaction and ends that, while somebody writes: others get each commit before and after the
   * end, one after the other, and nobody loses the connection. Until the end, and while what comes of it is being
   * delivered, the follower has what it had.
   */
  async function beside(statement: string, end: 'commit' | 'rollback', asBefore: () => Promise<void>): Promise<void> {
    const connections = new Set([other.status.connection])
    const stopListening = other.onStatus(({ connection }) => connections.add(connection))
    const writer = keepWriting(stage, other)
    const importer = new pg.Client({ connectionString: stage.url })
    await importer.connect()
    // As an import does it: without foreign keys. Triggers that sync needs run all the same.
    await importer.query(`set session_replication_role = replica`)
    await importer.query('begin')
    expect((await importer.query(statement)).rowCount).toBe(rows)
    await arrived(await addTask(stage, 'While it is open'))
    await asBefore()
    await importer.query(end)
    await importer.end()
    // Each has arrived before the next is written, and all of them while the big one is being delivered.
    for (let n = 0; n < 5; n++) {
      await arrived(await addTask(stage, `After it ${n}`))
      await asBefore()
    }
    await writer.stop()
    await other.synced()
    stopListening()
    expect([...connections]).toEqual(['live'])
  }

  /** All clients are equal to the database, and the server is the one that it was, and small. */
  async function allIsWell(): Promise<void> {
    expect(await follower.verify()).toEqual({ equal: true })
    await stage.expectEqual([other, follower])
    await stage.untilReady()
    expect(stage.server.pid).toBe(pid)
    const [memory = 0] = await watch()
    expect(memory - before).toBeLessThan(mayGrow)
  }

  beforeEach(() => {
    watch = stage.watchMetrics('process_resident_memory_bytes', 'tidewire_capture_lag_bytes')
  })
  afterEach(() => watch())

  test('half a million rows put in: others get commits before and after it, its follower all of it, in bounded memory', async () => {
    const insert = `insert into phases (organization_id, project_id, title)
      select organization_id, id, n::text from projects, generate_series(1, ${rows}) n where id = '${stage.projectId}'`
    await beside(insert, 'commit', async () =>
      expect(await follower.phases.find({ where: { title: '1' }, limit: 1 })).toEqual([]),
    )
    const inserted = `select id from phases where title = any($1) order by length(title)`
    ends = (await stage.sql<{ id: string }>(inserted, [plain])).map(({ id }) => id)
    await becomes(none, plain)
    expect(await follower.phases.find({})).toHaveLength(rows)
    await allIsWell()
    const [, lag] = await watch()
    expect(lag).toBeGreaterThan(0)
    expect(await entries()).toEqual([{ keys: rows }])
  }, 300_000)

  test('half a million rows changed: likewise, and its follower never has some of the old ones and some of the new', async () => {
    await beside(`update phases set title = title || '!'`, 'commit', () => has(plain))
    await becomes(plain, marked)
    expect(await follower.phases.find({ where: { title: { like: '%!' } } })).toHaveLength(rows)
    await allIsWell()
    expect(await entries()).toEqual([{ keys: rows }, { keys: rows }])
  }, 300_000)

  test('half a million rows deleted and rolled back: nothing of it reaches anybody, and nothing of it is kept', async () => {
    let told = 0
    const [loads, stop] = [countLoads([follower]), follower.phases.live({ where: { title: '1!' } }, () => told++)]
    await expect.poll(() => told, { timeout: 60_000 }).toBeGreaterThan(0)
    const first = told
    await beside('delete from phases', 'rollback', () => has(marked))
    await allIsWell()
    stop()
    expect([told - first, loads()]).toEqual([0, 0])
    expect(await follower.phases.find({})).toHaveLength(rows)
    expect(await entries()).toEqual([{ keys: rows }, { keys: rows }])
    const spilled = () => stage.sql('select count(*)::integer as count from sync.spilled_changes')
    await expect.poll(spilled, { timeout: 60_000 }).toEqual([{ count: 2 * rows }])
  }, 300_000)

  test('half a million rows deleted: they are gone everywhere, all at once', async () => {
    await beside('delete from phases', 'commit', () => has(marked))
    await becomes(marked, none)
    expect(await follower.phases.find({})).toEqual([])
    await allIsWell()
    expect(await entries()).toEqual([{ keys: rows }, { keys: rows }, { keys: rows }])
  }, 300_000)
})
