import type { Seq } from '../../protocol/seq.ts'
import type { Mark } from './feed.ts'

/** A step of the live loop, handed to every session. */
export interface ObservedStep {
  readonly to: Seq
  readonly changes: number
  /** Client writes whose commits are in it. */
  readonly marks: readonly Mark[]
  /**
   * Milliseconds from the commit of a sign of life that it holds to its snapshot, by the database's clock; null: not
   * known, or none.
   */
  readonly canaryMs: number | null
  /** `clock.monotonic()` when the read of the step began, when it had been read, and when all sessions had been fed. */
  readonly askedAt: number
  readonly readAt: number
  readonly fedAt: number
}

/** A step of which it is told who has it. */
export interface WatchedStep {
  readonly to: Seq
  /** A session has everything up to the step, durably. */
  acknowledged(): void
}

/** What the hub tells of its work, by step, session or bootstrap and never by row: for metrics and traces. */
export interface HubObserver {
  /** The live loop has read a step and is about to feed it: asked to watch it or not. */
  reading(step: Omit<ObservedStep, 'fedAt'>): WatchedStep | undefined
  stepped(step: ObservedStep): void
  /** A session has everything up to a position, durably. */
  acknowledged(seq: number): void
  /** A session's window was full. */
  stalled(): void
  /** A subscription has all rows it asked for, `ms` after it was made; null: it was given up before. */
  bootstrapped(ms: number | null): void
}

export const silentObserver: HubObserver = {
  reading: () => undefined,
  stepped: () => undefined,
  acknowledged: () => undefined,
  stalled: () => undefined,
  bootstrapped: () => undefined,
}
