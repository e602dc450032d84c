// One run of random operations: connections write in every interleaving that real Postgres allows (savepoints,
// rollbacks, prepared transactions, asynchronous commits, long transactions, commits that wait for a standby), while
// replicas follow and load.
import { expect } from 'vitest'
import type { Random } from '../../lib/random.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import type { Database } from '../../server/db/db.ts'
import type { Hub } from '../../server/hub/hub.ts'
import type { SqlFeed } from '../../server/hub/sql-feed.ts'
import { seedDevice, seedFixture } from '../support/fixtures.ts'
import { CommitWriter, type WriterPlace } from './commit-writer.ts'
import { FeedFollower, type FollowerOptions } from './feed-follower.ts'
import { HubFollower } from './hub-follower.ts'
import type { SynchronousCommit } from './writer-connection.ts'

const catalog = loadCatalog()
const operations = 150

/** `SEED=n` repeats one run, `RUNS=n` makes as many of them. */
export function seedsOf(runs: number): readonly number[] {
  const { SEED, RUNS } = process.env
  if (SEED !== undefined) return [Number(SEED)]
  return Array.from({ length: Number(RUNS ?? runs) }, (_, run) => run + 1)
}

export interface RunOptions {
  readonly database: Database
  readonly url: string
  readonly feed: SqlFeed
  /** A replica follows at each, the first at the hub over `feed`. */
  readonly hubs?: readonly Hub[]
  readonly random: Random
  /** With triggers a prepared transaction holds the lock of the log: nobody else can commit until it has ended. */
  readonly mayLeavePrepared: boolean
  /** Of its transactions; without it: all that a Postgres without standbys tells apart. */
  readonly levels?: readonly SynchronousCommit[]
  /**
   * Half-way the feed's server is killed; answers the feed of another one, at which, and at the last hub, everybody
   * goes on.
   */
  readonly takeOver?: () => Promise<SqlFeed>
  /** A synchronous standby, and how it stops to apply what it gets and goes on. */
  readonly standby?: Standby
}

export interface Standby {
  pause(): Promise<void>
  resume(): Promise<void>
}

/** What a run came to see. */
export interface RunReport {
  readonly readings: number
  /** Steps that did not wait for the log. */
  readonly quickSteps: number
  /** How often a commit was visible and not on the disk. */
  readonly unflushed: number
  /** Steps that ended before a commit that was logged and not visible. */
  readonly pending: number
}

/** Throws at the first state of a replica that was none, or that is not after the one before it. */
export async function runOracle(options: RunOptions): Promise<RunReport> {
  await using run = await openRun(options)
  for (let operation = 0; operation < operations; operation++) {
    if (operation === operations / 2) await run.takeOver()
    await run.next()
  }
  return await run.finish()
}

interface Run extends AsyncDisposable {
  next(): Promise<void>
  /** All that is open is committed and told, then its teller is killed. */
  takeOver(): Promise<void>
  /** Ends all transactions and lets all readers arrive. */
  finish(): Promise<RunReport>
}

interface Reading {
  readonly from: number
  readonly until: number
  readonly moment: number
}

async function openRun({
  database,
  url,
  feed: first,
  hubs = [],
  random,
  mayLeavePrepared,
  takeOver,
  standby,
  levels = ['on', 'off', 'local'],
}: RunOptions): Promise<Run> {
  let feed = first
  const { organizationId, projectId, memberId } = await seedFixture(database.pool)
  const principal = await seedDevice(database.pool, { organizationId, kind: 'user', id: memberId })
  let time = 0
  const tick = (): number => time++
  const place: WriterPlace = { url, organizationId, projectId }
  const writers = ['a', 'b', 'c', 'd'].map(
    (name) => new CommitWriter(`${name}${Math.floor(random.next() * 1e9)}`, place, tick),
  )
  await Promise.all(writers.map((writer) => writer.connect()))
  const options: Omit<FollowerOptions, 'feed'> = { catalog, organizationId, projectId, writers, tick }
  const { head } = await feed.state()
  const followers = [
    new FeedFollower({ ...options, feed, live: true }, head),
    new FeedFollower({ ...options, feed }, head),
  ]
  const replicas: HubFollower[] = []
  for (const hub of hubs) {
    const device = await seedDevice(database.pool, { organizationId, kind: 'user', id: memberId })
    const replica = new HubFollower({ catalog, principal: device, projectId, writers })
    await replica.goOn(hub)
    replicas.push(replica)
  }
  let quickSteps = 0
  const readings: Reading[] = []
  /** What goes on beside the next operations. */
  const beside: Promise<unknown>[] = []
  /** Commits that wait for the standby, which does not apply. */
  const waiting = new Map<CommitWriter, Promise<void>>()
  const waitsForStandby = new Set<CommitWriter>()
  let [paused, unflushed, pending] = [false, 0, 0]

  const chance = (part: number): boolean => random.next() < part
  const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random.next() * items.length)]
  const settled = async (): Promise<void> => void (await Promise.all(beside.splice(0)))

  async function read(answer: () => Promise<{ readonly moment: number }>): Promise<void> {
    const from = tick()
    const { moment } = await answer()
    readings.push({ from, until: tick(), moment })
  }

  async function advance(follower: FeedFollower): Promise<void> {
    await read(async () => {
      const step = await follower.advance()
      if (step.pending) pending++
      return step
    })
  }

  async function begin(writer: CommitWriter): Promise<void> {
    const level = pick(levels) ?? 'on'
    if (level === 'remote_apply') waitsForStandby.add(writer)
    else waitsForStandby.delete(writer)
    await writer.begin(level)
  }

  /** One that waits for a standby that does not apply is left to wait. */
  async function commit(writer: CommitWriter): Promise<void> {
    const committing = writer.commit()
    if (paused && waitsForStandby.has(writer)) {
      waiting.set(writer, committing)
      committing.catch(() => undefined)
      return
    }
    await committing
    const { rows } = await database.pool.query<{ ahead: boolean }>(
      'select pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn() as ahead',
    )
    if (rows[0]?.ahead) unflushed++
  }

  async function resume(): Promise<void> {
    paused = false
    await standby?.resume()
    await Promise.all(waiting.values())
    waiting.clear()
  }

  const free = (): readonly CommitWriter[] => writers.filter((writer) => !waiting.has(writer))

  /** One thing a writer may do next. */
  async function write(writer: CommitWriter): Promise<void> {
    if (writer.state === 'idle') return begin(writer)
    if (writer.state === 'prepared')
      return chance(0.3) ? writer.resolve(chance(0.7) ? 'commit' : 'rollback') : undefined
    const roll = random.next()
    const known = pick(writer.rows)
    if (roll < 0.35) return writer.put(chance(0.5) ? known : undefined)
    if (roll < 0.38) return known === undefined ? undefined : writer.replace(known)
    if (roll < 0.42) return known === undefined ? undefined : writer.remove(known)
    if (roll < 0.45) return writer.put(undefined, 20)
    if (roll < 0.55) return writer.savepoint()
    if (roll < 0.65) return writer.endSavepoint(chance(0.5) ? 'release' : 'rollback to')
    if (roll < 0.7) return writer.rollback()
    if (roll < 0.78) return prepare(writer)
    return commit(writer)
  }

  async function prepare(writer: CommitWriter): Promise<void> {
    if (mayLeavePrepared) return writer.prepare()
    await settled()
    await writer.prepare()
    await Promise.all(followers.map(advance))
    await writer.resolve(chance(0.7) ? 'commit' : 'rollback')
  }

  return {
    async next() {
      if (standby && chance(0.08)) {
        if (paused) return resume()
        paused = true
        return standby.pause()
      }
      const roll = random.next()
      const writer = pick(free())
      const follower = pick(followers)
      if (!follower) return
      if (roll < 0.6) return writer && write(writer)
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
      const open = free().filter(({ state }) => state === 'open')
      await Promise.all([...open.map(commit), ...followers.map(advance)])
    },
    async takeOver() {
      if (!takeOver) return
      await settled()
      await Promise.all(free().flatMap((writer) => (writer.state === 'open' ? [commit(writer)] : [])))
      const [live] = followers
      if (live) await advance(live)
      feed = await takeOver()
      for (const follower of followers) await follower.goOn(feed)
      const hub = hubs.at(-1)
      if (hub) for (const replica of replicas) await replica.goOn(hub)
    },
    async finish() {
      await resume()
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
      for (const replica of replicas)
        await expect.poll(() => replica.rows, { timeout: 60_000, interval: 20 }).toEqual(table)
      checkMoments(readings, writers)
      for (const follower of followers) quickSteps += follower.quickSteps
      return { readings: readings.length, quickSteps, unflushed, pending }
    },
    async [Symbol.asyncDispose]() {
      await resume().catch(() => undefined)
      await Promise.allSettled(beside)
      for (const replica of replicas) replica.close()
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
    const follower = new FeedFollower({ ...options, feed, live: place === 0 })
    await follower.load(async () => {
      const writer = pick(free())
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
