import { mostSubscriptions, mostWindowBatches } from '../../protocol/limits.ts'

/** Bounds of one hub. `defaultHubLimits` says how much. */
export interface HubLimits {
  /** Of one session. */
  readonly subscriptions: number
  /** Unacknowledged batches and bytes of one session before it is no longer fed live. */
  readonly windowBatches: number
  readonly windowBytes: number
  /** A batch above either is sent in parts. */
  readonly partRows: number
  readonly partBytes: number
  /** The most rows of a page, and the bytes it is meant to stay near. */
  readonly pageRows: number
  readonly pageBytes: number
  /** Pages read at the same time on this server; further ones wait. The same for catch-ups. */
  readonly concurrentPages: number
  readonly concurrentCatchUps: number
  /** Changes, and bytes of their rows, kept in memory for sessions that are a little behind. */
  readonly ringChanges: number
  readonly ringBytes: number
  /**
   * Milliseconds between the beginnings of two steps of the live loop, so that what is committed in quick succession is
   * one step. The first commit after a while waits for nothing. At least `gatherMs`; more while steps take long, up to
   * `longestGatherMs`. While there is no session that would be kept waiting, `idleGatherMs`.
   */
  readonly gatherMs: number
  readonly longestGatherMs: number
  readonly idleGatherMs: number
}

export const defaultHubLimits: HubLimits = {
  subscriptions: mostSubscriptions,
  windowBatches: mostWindowBatches,
  windowBytes: 8 * 1024 * 1024,
  partRows: 5000,
  partBytes: 1024 * 1024,
  pageRows: 5000,
  pageBytes: 2 * 1024 * 1024,
  concurrentPages: 2,
  concurrentCatchUps: 2,
  ringChanges: 10_000,
  ringBytes: 32 * 1024 * 1024,
  gatherMs: 3,
  longestGatherMs: 16,
  idleGatherMs: 50,
}
