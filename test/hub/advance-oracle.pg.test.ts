// `advance`, pages and access while connections write in every interleaving that real Postgres allows: savepoints,
// rollbacks, prepared transactions, asynchronous commits, long transactions. The writers know what they committed and
// in which order; every state that a reader is brought to must be one that was, whole, in that order, without a gap
// (`oracle-run.ts`). SEED=n repeats one run, RUNS=n makes more of them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { seededRandom, systemRandom } from '../../lib/random.ts'
import { createTriggerSource, createWalSource } from '../../server/capture/capture.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { createHub, type Hub } from '../../server/hub/hub.ts'
import { createSqlFeed, type SqlFeed } from '../../server/hub/sql-feed.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { untilWriter } from '../support/log-writer.ts'
import { killLogWriter } from './kill-log-writer.ts'
import { runOracle, seedsOf } from './oracle-run.ts'

const catalog = loadCatalog()

// Too big for memory: all but the smallest commits are logged as one entry each, their keys elsewhere.
describe.each(['wal', 'wal, with commits too big for memory', 'trigger'] as const)('capture by %s', (capture) => {
  let db: TestDatabase
  /**
   * The first writes the log where that is done after the commits; the second follows it, and has nothing of it in
   * memory.
   */
  const sources: ChangeSource[] = []
  const feeds: SqlFeed[] = []

  beforeAll(async () => {
    db = await createTestDatabase({ kind: 'postgres' })
    const options = { database: db.database, clock: systemClock, log: silentLog }
    const openKeys = capture === 'wal' ? {} : { openKeys: 2 }
    for (let server = 0; server < 2; server++) {
      const source =
        capture === 'trigger'
          ? createTriggerSource(options)
          : createWalSource({ ...options, ...openKeys, random: systemRandom })
      await source.start(() => undefined)
      if (server === 0) await untilWriter(source)
      sources.push(source)
      feeds.push(createSqlFeed({ database: db.database, source, catalog }))
    }
  })
  afterAll(async () => {
    for (const source of sources.toReversed()) await source.stop()
    await Promise.all(feeds.map((feed) => feed.close()))
    await db.close()
  })

  test.each(seedsOf(4))(
    'every reader goes from one committed state to a later one, and ends with the table (seed %i)',
    async (seed) => {
      const feed = feeds[seed % 2 === 0 ? 1 : 0]
      if (!feed) throw new Error('There are two servers.')
      const { readings, quickSteps } = await runOracle({
        database: db.database,
        url: db.url ?? '',
        feed,
        random: seededRandom(seed),
        mayLeavePrepared: capture !== 'trigger',
      })
      expect(readings).toBeGreaterThan(20)
      if (capture === 'wal' && seed % 2 === 1) expect(quickSteps).toBeGreaterThan(0)
    },
    300_000,
  )
})

describe('capture by wal, on two servers', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase({ kind: 'postgres' })
  })
  afterAll(() => db.close())

  interface Server {
    readonly source: ChangeSource
    readonly feed: SqlFeed
    readonly hub: Hub
  }

  async function startServer(): Promise<Server> {
    const options = { clock: systemClock, log: silentLog, catalog }
    const source = createWalSource({ ...options, database: db.database, random: systemRandom })
    const feed = createSqlFeed({ database: db.database, source, catalog })
    const hub = createHub({ ...options, feed, source })
    await hub.start()
    return { source, feed, hub }
  }

  test.each(seedsOf(2))(
    'every reader and every session of both hubs goes on at the other server when the writer of the log is killed (seed %i)',
    async (seed) => {
      const writer = await startServer()
      await untilWriter(writer.source)
      const follower = await startServer()
      const servers = [writer, follower]
      const { readings, quickSteps } = await runOracle({
        database: db.database,
        url: db.url ?? '',
        feed: writer.feed,
        hubs: [writer.hub, follower.hub],
        random: seededRandom(seed),
        mayLeavePrepared: true,
        takeOver: async () => {
          const stopped = writer.hub.stop()
          await killLogWriter(db.database)
          await stopped
          return follower.feed
        },
      })
      expect(readings).toBeGreaterThan(20)
      expect(quickSteps).toBeGreaterThan(0)
      expect(follower.source.role).toBe('writer')
      for (const { hub, feed } of servers) {
        await hub.stop()
        await feed.close()
      }
    },
    300_000,
  )
})
