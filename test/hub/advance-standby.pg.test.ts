// A synchronous standby that lags: a commit is durable and in the log long before any snapshot sees it. With a second
// Postgres.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import pg from 'pg'
import { systemClock } from '../../lib/clock.ts'
import { seededRandom, systemRandom } from '../../lib/random.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { openDatabase, type Database } from '../../server/db/db.ts'
import { createSqlFeed, type SqlFeed } from '../../server/hub/sql-feed.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { hasOwnCluster, openCluster } from '../failure/own-cluster.ts'
import { startStandby, type Standby } from '../failure/standby.ts'
import { seedFixture } from '../support/fixtures.ts'
import { CommitWriter } from './commit-writer.ts'
import { FeedFollower } from './feed-follower.ts'
import { runOracle, seedsOf, type RunOptions, type RunReport } from './oracle-run.ts'

const catalog = loadCatalog()

describe.runIf(hasOwnCluster)('behind a standby that does not apply', () => {
  let cluster: Cluster
  let standby: Standby
  let database: Database
  let source: ChangeSource
  let feed: SqlFeed

  beforeAll(async () => {
    // Asynchronous commits are not on the disk for a long time, unless somebody waits for them.
    cluster = await openCluster({ wal_writer_delay: '10s' })
    database = await openDatabase({ database: { kind: 'postgres', url: cluster.url, poolSize: 4, readUrls: [] } })
    await database.migrate()
    standby = await startSynchronousStandby(cluster)
    source = createWalSource({ database, clock: systemClock, random: systemRandom, log: silentLog })
    await source.start(() => undefined)
    feed = createSqlFeed({ database, source, catalog })
  }, 240_000)
  afterAll(async () => {
    await source.stop()
    await feed.close()
    await database.close()
    standby.stop()
    await cluster[Symbol.asyncDispose]()
  })

  test('a commit that is logged and not visible stays pending, with all after it, and comes whole', async () => {
    const { organizationId, projectId } = await seedFixture(database.pool)
    let time = 0
    const tick = (): number => time++
    const place = { url: cluster.url, organizationId, projectId }
    const [slow, quick] = [new CommitWriter('slow', place, tick), new CommitWriter('quick', place, tick)]
    await Promise.all([slow.connect(), quick.connect()])
    await source.head()
    const { head } = await feed.state()
    const options = { feed, catalog, organizationId, projectId, writers: [slow, quick], tick }
    const follower = new FeedFollower(options, head)

    await standby.query('select pg_wal_replay_pause()')
    await slow.begin('remote_apply')
    await slow.put(undefined, 3)
    const committing = slow.commit()
    const logged = async (): Promise<number> =>
      Number((await database.pool.query('select max(seq)::text as seq from sync_changes')).rows[0].seq)
    await expect.poll(logged, { timeout: 30_000 }).toBeGreaterThan(head)
    await quick.begin('local')
    await quick.put(undefined, 2)
    await quick.commit()

    expect(await follower.advance()).toMatchObject({ to: head, changes: [], pending: true })
    const joining = new FeedFollower(options)
    await joining.load(() => Promise.resolve())
    expect(joining.seq).toBe(head)
    await joining.advance()

    await standby.query('select pg_wal_replay_resume()')
    await committing
    for (const one of [follower, joining]) {
      await one.advance()
      expect(one.rows).toEqual(new Map([...(slow.commits.at(-1)?.rows ?? []), ...(quick.commits.at(-1)?.rows ?? [])]))
    }
    await Promise.all([slow.end(), quick.end()])
  }, 120_000)

  async function run(seed: number, more: Pick<RunOptions, 'levels' | 'standby'>): Promise<RunReport> {
    const report = await runOracle({
      database,
      url: cluster.url,
      feed,
      random: seededRandom(seed),
      mayLeavePrepared: true,
      ...more,
    })
    expect(report.readings).toBeGreaterThan(20)
    return report
  }

  test('where commits are visible seconds before they are on the disk, every reader goes from one committed state to a later one', async () => {
    const reports: RunReport[] = []
    for (const seed of seedsOf(2)) reports.push(await run(seed, { levels: ['off', 'local'] }))
    expect(Math.max(...reports.map(({ unflushed }) => unflushed))).toBeGreaterThan(0)
    expect(Math.max(...reports.map(({ quickSteps }) => quickSteps))).toBeGreaterThan(0)
  }, 300_000)

  test.each(seedsOf(3))(
    'with a standby that stops to apply and goes on, every reader goes from one committed state to a later one (seed %i)',
    async (seed) => {
      const { pending } = await run(seed, {
        levels: ['on', 'off', 'local', 'remote_apply', 'remote_apply'],
        standby: {
          pause: async () => void (await standby.query('select pg_wal_replay_pause()')),
          resume: async () => void (await standby.query('select pg_wal_replay_resume()')),
        },
      })
      expect(pending).toBeGreaterThan(0)
    },
    300_000,
  )
})

/** Commits wait for it where their session says so. */
async function startSynchronousStandby(cluster: Cluster): Promise<Standby> {
  const standby = await startStandby(cluster)
  const admin = new pg.Client({ connectionString: cluster.url })
  await admin.connect()
  await admin.query(`alter system set synchronous_standby_names = 'walreceiver'`)
  await admin.query(`alter system set synchronous_commit = local`)
  await admin.query('select pg_reload_conf()')
  await admin.end()
  return standby
}
