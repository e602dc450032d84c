import { systemClock } from '../../lib/clock.ts'
import { createTriggerSource } from '../../server/capture/capture.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { createSqlFeed, type SqlFeed } from '../../server/hub/sql-feed.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'

/** A database of its own and a feed over it that nobody wakes: what channels carry is asked for. */
export async function openScopeFeed(kind?: 'embedded' | 'postgres'): Promise<{
  readonly db: TestDatabase
  readonly feed: SqlFeed
  close(): Promise<void>
}> {
  const db = await createTestDatabase(kind === undefined ? {} : { kind })
  const { database } = db
  const source = createTriggerSource({ database, clock: systemClock, log: silentLog })
  await source.start(() => undefined)
  await source.stop()
  const feed = createSqlFeed({ database, source, catalog: loadCatalog() })
  return {
    db,
    feed,
    close: async () => {
      await feed.close()
      await db.close()
    },
  }
}
