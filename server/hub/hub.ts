/**
 * The hub: from the change log to every session that may see a change.
 *
 *   ChangeSource ─ wake ─▶ live loop ─ feed.advance ─▶ Step ─ route ─▶ one frame per distinct set of subscriptions ─▶ send
 *                                                       │
 *                            ring of recent steps ◀─────┘      session behind? from the ring, else its own advance
 *
 * One live loop per node reads each step once for all sessions. A session that reconnects, is slow, or activates a
 * bootstrap is fed from its own position until it has reached the loop's; then it is live. See SPEC.md for the
 * states and the invariants.
 */
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { TideError } from '../../protocol/error.ts'
import type { Cursor, Seq } from '../../protocol/seq.ts'
import type { Clock } from '../../lib/clock.ts'
import type { ChangeSource } from '../capture/change-source.ts'
import type { Log } from '../telemetry/telemetry.ts'
import type { Access } from '../scope/access.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { Feed } from './feed.ts'

export interface HubOptions {
  readonly feed: Feed
  readonly source: ChangeSource
  /** A `Catalog` will do; the descriptors of synced tables are what counts. */
  readonly catalog: HubCatalog
  readonly clock: Clock
  readonly limits?: Partial<HubLimits>
  readonly log: Log
}

export interface HubCatalog {
  readonly byName: ReadonlyMap<string, { readonly descriptor?: TableDescriptor | undefined }>
}

export interface HubLimits {
  readonly subscriptions: number
  /** Unacknowledged batches and bytes of one session before it is no longer fed live. */
  readonly windowBatches: number
  readonly windowBytes: number
  /** A batch above either is sent in parts. */
  readonly partRows: number
  readonly partBytes: number
  readonly pageRows: number
  /** Pages read at the same time on this node; further ones wait. The same for catch-ups. */
  readonly concurrentPages: number
  readonly concurrentCatchUps: number
  /** Changes kept in memory for sessions that are a little behind. */
  readonly ringChanges: number
}

export const defaultHubLimits: HubLimits = {
  subscriptions: 500,
  windowBatches: 64,
  windowBytes: 8 * 1024 * 1024,
  partRows: 5000,
  partBytes: 1024 * 1024,
  pageRows: 5000,
  concurrentPages: 2,
  concurrentCatchUps: 2,
  ringChanges: 10_000,
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

export interface SessionOptions {
  readonly principal: DevicePrincipal
  /** Where the replica stands, from its `hello`. */
  readonly cursor: Cursor | null
  /** Sends a frame, in order. Must not throw and must not block. Frames may be shared between sessions: never written to. */
  readonly send: (frame: Uint8Array) => void
  /**
   * The session is over: access was lost (`device_revoked`, `token_invalid`), the replica is too far behind
   * (`cursor_too_old`: its next hello is answered with `resume: false`) or a bug (`internal`). Send it as a fatal error and close.
   */
  readonly ended: (error: TideError) => void
  /** Tokens of this principal were changed or revoked: check again the one this session came with. */
  readonly credentialsChanged?: () => void
}

/**
 * One connected replica. The hub itself sends `subscribed`, `page`, `batch`, `frontier` and `verified` frames; requests
 * that cannot be answered reject with a `TideError`, which the caller sends as an `error` message.
 */
export interface HubSession {
  /** For `welcome`: whether the cursor can be continued. If not, `subscribe` with `held` is refused. */
  readonly resume: boolean
  readonly epoch: string
  /** As last evaluated. For presence and search; batches are checked by the hub itself. */
  readonly access: Access
  /** True while a subscription of this session follows the channel. */
  follows(channel: string): boolean
  subscribe(subscriptions: readonly (Subscription & { readonly held: boolean })[]): Promise<void>
  unsubscribe(id: string): void
  page(subscription: string, after: string | null): Promise<void>
  activate(subscription: string, from: number): void
  ack(seq: number): void
  verify(subscription: string, ref: number): Promise<void>
  close(): void
}

export interface HubStats {
  readonly sessions: number
  readonly liveSessions: number
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
  /** Milliseconds (clock.now) of the last sign of life that came through; null: none yet. */
  readonly lastCanaryAt: number | null
}

export function createHub(options: HubOptions): Hub {
  throw new Error(`not yet: ${options.limits?.pageRows ?? ''}`)
}
