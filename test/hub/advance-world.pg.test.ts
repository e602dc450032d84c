// All tables that decide where rows live and who finds them, written by connections that get in each other's way, and
// replicas of the SDK that follow it all (`world-run.ts`). SEED=n repeats one run, RUNS=n makes more of them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { seededRandom, systemRandom } from '../../lib/random.ts'
import { createTriggerSource, createWalSource } from '../../server/capture/capture.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { createHub, type Hub } from '../../server/hub/hub.ts'
import { createSqlFeed, type SqlFeed } from '../../server/hub/sql-feed.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { untilWriter } from '../support/log-writer.ts'
import { endLogWriter } from './kill-log-writer.ts'
import { seedsOf } from './oracle-run.ts'
import { recordHistory } from './world-history.ts'
import { runWorld } from './world-run.ts'

const catalog = loadCatalog()

// Too big for memory: all but the smallest commits are logged as one entry each, their keys elsewhere.
const captures = ['wal', 'wal, with commits too big for memory', 'wal, whose writer is cut off', 'trigger'] as const

describe.each(captures)('capture by %s', (capture) => {
  let db: TestDatabase
  /** The first writes the log where that is done after the commits; the second follows it. */
  const servers: { readonly hub: Hub; readonly feed: SqlFeed }[] = []

  beforeAll(async () => {
    db = await createTestDatabase({ kind: 'postgres' })
    await recordHistory(db.database.pool)
    const options = { database: db.database, clock: systemClock, log: silentLog, catalog }
    const openKeys = capture === 'wal, with commits too big for memory' ? { openKeys: 2 } : {}
    for (let server = 0; server < 2; server++) {
      const source =
        capture === 'trigger'
          ? createTriggerSource(options)
          : createWalSource({ ...options, ...openKeys, random: systemRandom })
      const feed = createSqlFeed({ database: db.database, source, catalog })
      const hub = createHub({ ...options, feed, source })
      await hub.start()
      if (server === 0) await untilWriter(source)
      servers.push({ hub, feed })
    }
  })
  afterAll(async () => {
    for (const { hub, feed } of servers.toReversed()) {
      await hub.stop()
      await feed.close()
    }
    await db.close()
  })

  test.each(seedsOf(2))(
    'every replica is at every moment what its owner might see at its position, whatever moves, goes and is shared (seed %i)',
    async (seed) => {
      const { states, done, reloads } = await runWorld({
        database: db.database,
        url: db.url ?? '',
        hubs: servers.map(({ hub }) => hub),
        random: seededRandom(seed),
        mayLeavePrepared: capture !== 'trigger',
        ...(capture === 'wal, whose writer is cut off' ? { disturb: () => endLogWriter(db.database) } : {}),
      })
      expect(states).toBeGreaterThan(50)
      if (reloads > 0) expect(done.get('truncate guests')).toBeGreaterThan(0)
    },
    300_000,
  )
})
