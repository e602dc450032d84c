/**
 * The hub: from the change log to every session that may see a change.
 *
 *   ChangeSource ─ wake ─▶ live loop ─ feed.advance ─▶ Step ─ route ─▶ one frame per distinct set of subscriptions ─▶ send
 *                                                       │
 *                            ring of recent steps ◀─────┘      session behind? from the ring, else its own advance
 *
 * One live loop per server reads each step once for all sessions. A session that reconnects, is slow, or activates a
 * bootstrap is fed from its own position until it has reached the loop's; then it is live. See SPEC.md for the
 * states and the invariants.
 */
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { Seq } from '../../protocol/seq.ts'
import type { Clock } from '../../lib/clock.ts'
import type { ChangeSource } from '../capture/change-source.ts'
import { Troubles, type Log } from '../telemetry/telemetry.ts'
import type { Feed } from './feed.ts'
import type { HubSession, SessionOptions } from './hub-session.ts'
import { silentObserver, type HubObserver } from './hub-observer.ts'
import { defaultHubLimits, type HubLimits } from './limits.ts'
import { KnownAccess } from './known-access.ts'
import { LiveLoop } from './live-loop.ts'
import type { SessionState } from './session-state.ts'
import type { SessionHost } from './session-host.ts'
import { Session } from './session.ts'
import { Pages } from './pages.ts'
import type { DownTables } from './spec.ts'

export type { Feed } from './feed.ts'
export type { HubLimits } from './limits.ts'
export type { HubSession, SessionOptions } from './hub-session.ts'

export interface HubOptions {
  readonly feed: Feed
  readonly source: ChangeSource
  /** A `Catalog` will do; the descriptors of synced tables are what counts. */
  readonly catalog: HubCatalog
  readonly clock: Clock
  readonly limits?: Partial<HubLimits>
  readonly log: Log
  readonly observer?: HubObserver
  /** Where reads that fail are reported. */
  readonly troubles?: Troubles
}

export interface HubCatalog {
  readonly byName: ReadonlyMap<string, { readonly descriptor?: TableDescriptor | undefined }>
}

export interface Hub {
  /** Reads where the log stands and begins to follow it. */
  start(): Promise<void>
  /** A hint that something was just committed by this process. */
  wake(): void
  /** Admits an authenticated principal. Rejects with `device_revoked` or `token_invalid` when it may follow nothing. */
  open(options: SessionOptions): Promise<HubSession>
  stats(): HubStats
  /** Ends the loop; sessions hear nothing any more. */
  stop(): Promise<void>
}

export interface HubStats {
  readonly sessions: number
  readonly liveSessions: number
  readonly sessionsByState: Readonly<Record<SessionState, number>>
  /** Subscriptions that are fetching their first rows. */
  readonly bootstraps: number
  readonly subscriptions: number
  /** Where the live loop stands. */
  readonly position: Seq
  readonly steps: number
  readonly batches: number
  readonly bytes: number
  /** Batches whose frame was made for another session already. */
  readonly sharedFrames: number
  readonly catchUps: number
  readonly pages: number
  /** Milliseconds (clock.monotonic) of the last sign of life that came through; null: none yet. */
  readonly lastCanaryAt: number | null
}

/** Makes a hub; `start` sets it going. */
export function createHub(options: HubOptions): Hub {
  const { feed, source, catalog, clock, limits: some = {}, log, observer = silentObserver } = options
  const { troubles = new Troubles(clock, log) } = options
  const limits = { ...defaultHubLimits, ...some }
  const tables = downTables(catalog)
  const pages = new Pages(feed, clock, limits)
  const counts = { batches: 0, bytes: 0, sharedFrames: 0 }
  const accesses = new KnownAccess()
  const loop = new LiveLoop({
    feed,
    source,
    tables,
    limits,
    clock,
    log,
    observer,
    troubles,
    onTooFar: () => pages.forget(),
  })
  const host: SessionHost<Session> = {
    tables,
    limits,
    index: loop.index,
    feed: (session) => loop.catchUp.feed(session),
    access: (principal) => feed.access(principal),
    pages,
    known: (principal, access) => accesses.share(principal, access),
    sent: (batch) => {
      counts.batches++
      counts.bytes += batch.bytes
      if (batch.shared) counts.sharedFrames++
    },
    gone: (session) => loop.sessions.delete(session),
    clock,
    observer,
    watched: (seq) => loop.watched(seq),
    passed: (seq) => loop.passed(seq),
  }
  return {
    start: () => loop.start(),
    wake: () => loop.wake(),
    open: (options) => open(options, loop, host),
    stats: () => ({
      ...counts,
      sessions: loop.sessions.size,
      ...standing(loop.sessions),
      subscriptions: [...loop.sessions].reduce((sum, session) => sum + session.subscriptions, 0),
      position: loop.position,
      steps: loop.steps,
      pages: pages.reads,
      catchUps: loop.catchUp.reads,
      lastCanaryAt: loop.lastCanaryAt,
    }),
    stop: () => loop.stop(),
  }
}

async function open(options: SessionOptions, loop: LiveLoop, host: SessionHost<Session>): Promise<HubSession> {
  const { cursor, principal } = options
  const { history } = loop
  let at = await history.beginning(principal.deviceId, cursor)
  // Sessions end with their epoch; this one is not among them yet.
  while (at.epoch !== history.epoch) at = await history.beginning(principal.deviceId, cursor)
  const session = new Session(options, host, at)
  // Among the sessions before its access is read: no later loss can be missed.
  loop.enter(session)
  try {
    session.admit(await host.access(principal))
  } catch (error) {
    session.close()
    throw error
  }
  return session
}

/** Tables that travel from server to clients. */
function downTables(catalog: HubCatalog): DownTables {
  const tables = new Map<string, TableDescriptor>()
  for (const [name, { descriptor }] of catalog.byName)
    if (descriptor && descriptor.direction !== 'up') tables.set(name, descriptor)
  return tables
}

function standing(sessions: Iterable<Session>): Pick<HubStats, 'liveSessions' | 'sessionsByState' | 'bootstraps'> {
  const sessionsByState = { idle: 0, behind: 0, live: 0, stalled: 0, ended: 0 }
  let bootstraps = 0
  for (const session of sessions) {
    sessionsByState[session.state]++
    bootstraps += session.bootstraps
  }
  return { liveSessions: sessionsByState.live, sessionsByState, bootstraps }
}
