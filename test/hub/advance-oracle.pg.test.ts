// `advance`, pages and access while connections write in every interleaving that real Postgres allows: savepoints,
// rollbacks, prepared transactions, asynchronous commits, long transactions. The writers know what they committed and in which
// order; every state that a reader is brought to must be one that was, whole, in that order, without a gap.
// SEED=n repeats one run, RUNS=n makes more of them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { seededRandom, systemRandom, type Random } from '../../lib/random.ts'
import { createTriggerSource, createWalSource } from '../../server/capture/capture.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { createSqlFeed, type SqlFeed } from '../../server/hub/sql-feed.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { seedDevice, seedFixture } from '../support/fixtures.ts'
import { CommitWriter, type WriterPlace } from './commit-writer.ts'
import { FeedFollower, type FollowerOptions } from './feed-follower.ts'

const runs = Number(process.env['RUNS'] ?? 4)
const seeds = process.env['SEED'] ? [Number(process.env['SEED'])] : Array.from({ length: runs }, (_, run) => run + 1)
const operations = 150
const catalog = loadCatalog()

// Too big for memory: all but the smallest commits are logged as one entry each, their keys elsewhere.
describe.each(['wal', 'wal, with commits too big for memory', 'trigger'] as const)('capture by %s', (capture) => {
  let db: TestDatabase
  let source: ChangeSource
  let feed: SqlFeed
  /** The same on a server that follows the log: it has nothing of it in memory. */
  let following: SqlFeed

  beforeAll(async () => {
    db = await createTestDatabase({ kind: 'postgres' })
    const options = { database: db.database, clock: systemClock, log: silentLog }
    const openKeys = capture === 'wal' ? {} : { openKeys: 2 }
    source =
      capture === 'trigger'
        ? createTriggerSource(options)
        : createWalSource({ ...options, ...openKeys, random: systemRandom })
    await source.start(() => undefined)
    feed = createSqlFeed({ database: db.database, source, catalog })
    const follower = { ...source, recent: () => undefined }
    following = createSqlFeed({ database: db.database, source: follower, catalog })
  })
  afterAll(async () => {
    await source.stop()
    await feed.close()
    await following.close()
    await db.close()
  })

  test.each(seeds)(
    'every reader goes from one committed state to a later one, and ends with the table (seed %i)',
    async (seed) => {
      await using run = await openRun(db, seed % 2 === 0 ? following : feed, seededRandom(seed), capture !== 'trigger')
      for (let operation = 0; operation < operations; operation++) await run.next()
      const { readings, quickSteps } = await run.finish()
      expect(readings).toBeGreaterThan(20)
      if (capture === 'wal' && seed % 2 === 1) expect(quickSteps).toBeGreaterThan(0)
    },
    300_000,
  )
})

interface Run extends AsyncDisposable {
  next(): Promise<void>
  /** Ends all transactions and lets all readers arrive. Answers how often was read, and how often without waiting for the log. */
  finish(): Promise<{ readonly readings: number; readonly quickSteps: number }>
}

interface Reading {
  readonly from: number
  readonly until: number
  readonly moment: number
}

async function openRun(
  { database, url = '' }: TestDatabase,
  feed: SqlFeed,
  random: Random,
  mayLeavePrepared: boolean,
): Promise<Run> {
  const { organizationId, projectId, memberId } = await seedFixture(database.pool)
  const principal = await seedDevice(database.pool, { organizationId, kind: 'user', id: memberId })
  let time = 0
  const tick = (): number => time++
  const place: WriterPlace = { url, organizationId, projectId }
  const writers = ['a', 'b', 'c', 'd'].map(
    (name) => new CommitWriter(`${name}${Math.floor(random.next() * 1e9)}`, place, tick),
  )
  await Promise.all(writers.map((writer) => writer.connect()))
  const options: FollowerOptions = { feed, catalog, organizationId, projectId, writers, tick }
  const { head } = await feed.state()
  const followers = [new FeedFollower({ ...options, live: true }, head), new FeedFollower(options, head)]
  let quickSteps = 0
  const readings: Reading[] = []
  /** What goes on beside the next operations. */
  const beside: Promise<unknown>[] = []

  const chance = (part: number): boolean => random.next() < part
  const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random.next() * items.length)]
  const settled = async (): Promise<void> => void (await Promise.all(beside.splice(0)))

  async function read(answer: () => Promise<{ readonly moment: number }>): Promise<void> {
    const from = tick()
    const { moment } = await answer()
    readings.push({ from, until: tick(), moment })
  }

  async function advance(follower: FeedFollower): Promise<void> {
    await read(() => follower.advance())
  }

  /** One thing a writer may do next. */
  async function write(writer: CommitWriter): Promise<void> {
    if (writer.state === 'idle') return writer.begin(pick(['on', 'off', 'local'] as const) ?? 'on')
    if (writer.state === 'prepared')
      return chance(0.3) ? writer.resolve(chance(0.7) ? 'commit' : 'rollback') : undefined
    const roll = random.next()
    const known = pick(writer.rows)
    if (roll < 0.35) return writer.put(chance(0.5) ? known : undefined)
    if (roll < 0.42) return known === undefined ? undefined : writer.remove(known)
    if (roll < 0.45) return writer.put(undefined, 20)
    if (roll < 0.55) return writer.savepoint()
    if (roll < 0.65) return writer.endSavepoint(chance(0.5) ? 'release' : 'rollback to')
    if (roll < 0.7) return writer.rollback()
    if (roll < 0.78) return prepare(writer)
    return writer.commit()
  }

  /** With triggers a prepared transaction holds the lock of the log: nobody else can commit until it has ended. */
  async function prepare(writer: CommitWriter): Promise<void> {
    if (mayLeavePrepared) return writer.prepare()
    await settled()
    await writer.prepare()
    await Promise.all(followers.map(advance))
    await writer.resolve(chance(0.7) ? 'commit' : 'rollback')
  }

  return {
    async next() {
      const roll = random.next()
      const writer = pick(writers)
      const follower = pick(followers)
      if (!writer || !follower) return
      if (roll < 0.6) return write(writer)
      if (roll < 0.75) {
        await settled()
        beside.push(advance(follower))
        return
      }
      if (roll < 0.85) {
        await settled()
        return advance(follower)
      }
      if (roll < 0.9) {
        beside.push(read(() => feed.access(principal)))
        return
      }
      if (roll < 0.95) return load()
      // All at once, and readers among them.
      await settled()
      const open = writers.filter(({ state }) => state === 'open')
      await Promise.all([...open.map((one) => one.commit()), ...followers.map(advance)])
    },
    async finish() {
      await settled()
      for (const writer of writers) {
        if (writer.state === 'prepared') await writer.resolve('commit')
        if (writer.state === 'open') await writer.commit()
      }
      const { rows } = await database.pool.query<{ id: string; title: string }>(
        'select id, title from tasks where project_id = $1',
        [projectId],
      )
      const table = new Map(rows.map(({ id, title }) => [id, title]))
      for (const follower of followers) {
        await expect
          .poll(
            async () => {
              await advance(follower)
              return follower.rows
            },
            { timeout: 60_000 },
          )
          .toEqual(table)
      }
      checkMoments(readings, writers)
      for (const follower of followers) quickSteps += follower.quickSteps
      return { readings: readings.length, quickSteps }
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(beside)
      for (const writer of writers) {
        if (writer.state === 'prepared') await writer.resolve('rollback').catch(() => undefined)
        await writer.end()
      }
    },
  }

  /** A new replica loads pages while others write, and goes on from there. */
  async function load(): Promise<void> {
    await settled()
    const place = chance(0.5) ? 0 : 1
    const follower = new FeedFollower({ ...options, live: place === 0 })
    await follower.load(async () => {
      const writer = pick(writers)
      if (writer && (mayLeavePrepared || writer.state !== 'prepared')) await write(writer)
    })
    await advance(follower)
    quickSteps += followers.splice(place, 1, follower)[0]?.quickSteps ?? 0
  }
}

/** Moments order readings as they were taken; a commit between two makes a difference. */
function checkMoments(readings: readonly Reading[], writers: readonly CommitWriter[]): void {
  const commits = writers.flatMap((writer) => writer.commits.slice(1))
  for (const first of readings)
    for (const second of readings) {
      if (second.from < first.until) continue
      expect(second.moment).toBeGreaterThanOrEqual(first.moment)
      const between = commits.some(({ issuedAt, ackedAt }) => issuedAt > first.until && ackedAt < second.from)
      if (between) expect(second.moment).toBeGreaterThan(first.moment)
    }
}
