// Changing how a living database is captured, while others write.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createTriggerSource, createWalSource } from '../../server/capture/capture.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { createSqlFeed, type SqlFeed } from '../../server/hub/sql-feed.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { CommitWriter } from '../hub/commit-writer.ts'
import { FeedFollower, type FollowerOptions } from '../hub/feed-follower.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { seedFixture } from '../support/fixtures.ts'
import { untilWriter } from '../support/log-writer.ts'

const catalog = loadCatalog()
let db: TestDatabase
let source: ChangeSource | undefined
let feed: SqlFeed

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
})
afterAll(async () => {
  await source?.stop()
  await feed.close()
  await db.close()
})

function makeSource(capture: 'wal' | 'trigger'): ChangeSource {
  const options = { database: db.database, clock: systemClock, log: silentLog }
  return capture === 'wal' ? createWalSource({ ...options, random: systemRandom }) : createTriggerSource(options)
}

async function captureBy(capture: 'wal' | 'trigger'): Promise<void> {
  await source?.stop()
  if (source) await feed.close()
  source = makeSource(capture)
  await source.start(() => undefined)
  await untilWriter(source)
  feed = createSqlFeed({ database: db.database, source, catalog })
}

test('no commit is lost: to the WAL the epoch stays, back to triggers it is another one', async () => {
  await captureBy('trigger')
  const { organizationId, projectId } = await seedFixture(db.database.pool)
  let time = 0
  const tick = (): number => time++
  const writers = ['one', 'two'].map(
    (name) => new CommitWriter(name, { url: db.url ?? '', organizationId, projectId }, tick),
  )
  await Promise.all(writers.map((writer) => writer.connect()))
  const options: FollowerOptions = {
    get feed() {
      return feed
    },
    catalog,
    organizationId,
    projectId,
    writers,
    tick,
  }
  const byTrigger = await feed.state()
  const follower = new FeedFollower(options, byTrigger.head)
  let done = false
  const writing = writers.map(async (writer) => {
    while (!done) {
      await writer.begin('on')
      await writer.put(undefined)
      await writer.put(writer.rows[0])
      await writer.commit()
    }
  })
  await follower.advance()

  await captureBy('wal')
  const byWal = await feed.state()
  expect(byWal.epoch).toBe(byTrigger.epoch)
  await follower.goOn(feed)
  await follower.advance()
  await follower.advance()

  await captureBy('trigger')
  const back = await feed.state()
  expect(back.epoch).not.toBe(byWal.epoch)
  expect(back.head).toBeGreaterThan(follower.seq)
  const anew = new FeedFollower(options)
  await anew.load(() => Promise.resolve())
  await anew.advance()
  expect(anew.seq).toBeGreaterThan(follower.seq)

  done = true
  await Promise.all(writing)
  await anew.advance()
  const { rows } = await db.database.pool.query<{ id: string; title: string }>(
    'select id, title from tasks where project_id = $1',
    [projectId],
  )
  expect(anew.rows).toEqual(new Map(rows.map(({ id, title }) => [id, title])))
  await Promise.all(writers.map((writer) => writer.end()))
}, 120_000)

test('a server with triggers is refused while another reads the slot, and one that runs tells no more changes', async () => {
  const old = feed
  const running = source
  const { head } = await old.state()
  const wal = makeSource('wal')
  await wal.start(() => undefined)
  await untilWriter(wal)
  const request = {
    organizations: null,
    follows: () => true,
    watchAccess: false,
    embeddings: false,
    principals: () => [],
  }
  await expect(old.advance(head, request)).rejects.toMatchObject({ code: 'capture_unavailable' })
  const refused = makeSource('trigger')
  await expect(refused.start(() => undefined)).rejects.toMatchObject({ code: 'capture_unavailable' })
  await refused.stop()
  await wal.stop()
  await running?.stop()
}, 60_000)
