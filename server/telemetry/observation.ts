import type { Clock } from '../../lib/clock.ts'
import { CommitWatch } from './commit-watch.ts'
import type { Metrics } from './metrics.ts'
import type { PushTrace, Tracing } from './tracing.ts'

interface Answer {
  readonly mutationId: string
  readonly kind: string
  readonly error?: { readonly code: string } | undefined
}

/** What the mutations tell of one push, in this order; `failed` instead of what has not been told yet. */
interface PushStages {
  decided(outcomes: readonly Answer[]): void
  committed(): void
  answered(outcomes: readonly Answer[]): void
  failed(code: string): void
}

/** As the hub tells of a step (`HubObserver`). */
interface Step {
  readonly to: number
  readonly changes: number
  readonly marks: readonly { readonly mutationId: string }[]
  readonly canaryMs: number | null
  readonly askedAt: number
  readonly readAt: number
}

/** Turns what mutations and hub tell into metrics and traces. */
export interface Observation {
  readonly push: { began(mutations: readonly { readonly id: string }[]): PushStages }
  readonly hub: {
    reading<S extends Step>(step: S): { readonly to: S['to']; acknowledged(): void } | undefined
    stepped(step: Step & { readonly fedAt: number }): void
    acknowledged(seq: number): void
    stalled(): void
    bootstrapped(ms: number | null): void
  }
}

export interface ObservationOptions {
  readonly clock: Clock
  readonly metrics: Metrics
  /** Absent: nothing is traced. */
  readonly tracing?: Tracing | undefined
}

/** Acknowledgements of untraced writes are timed for one step in so many milliseconds: thousands may come a second. */
const sampleMs = 1000
/** Acknowledgements that are shown in one trace. */
const tracedSessions = 16

/** Some minutes: who has not acknowledged by then is gone. */
const keptCanaries = 60

interface Push {
  committedAt?: number
  readonly trace: PushTrace | undefined
}

/**
 * The newest canaries, by the position of their step: a session acknowledges just that, when it has all before. One
 * comes every five seconds.
 */
class Canaries {
  readonly #committed = new Map<number, number>()

  add(seq: number, committedAt: number): void {
    this.#committed.set(seq, committedAt)
    const oldest = this.#committed.keys().next()
    if (this.#committed.size > keptCanaries && !oldest.done) this.#committed.delete(oldest.value)
  }

  /** Undefined: no canary was there, or it is long ago. */
  committedAt(seq: number): number | undefined {
    return this.#committed.get(seq)
  }
}

export function createObservation({ clock, metrics, tracing }: ObservationOptions): Observation {
  const watch = new CommitWatch<Push>(clock)
  const canaries = new Canaries()
  let fed: readonly Push[] = []
  let sampledAt = Number.NEGATIVE_INFINITY

  function began(mutations: readonly { readonly id: string }[]): PushStages {
    const takenAt = clock.monotonic()
    const first = mutations[0]?.id ?? ''
    const trace = tracing?.begin(first, takenAt, mutations.length)
    const push: Push = { trace }
    /** A write that the log will have; once it is committed it stays the one. */
    let watched: string | undefined
    let decidedAt = takenAt
    return {
      decided(outcomes) {
        decidedAt = clock.monotonic()
        if (push.committedAt === undefined) {
          if (watched !== undefined) watch.forget(watched)
          watched = outcomes.find(({ kind }) => kind !== 'rejected')?.mutationId
          // Before the commit: on another connection it may be read back sooner than its answer comes here.
          if (watched !== undefined) watch.add(watched, push)
        }
        trace?.span('decide', takenAt, decidedAt)
      },
      committed() {
        const now = clock.monotonic()
        if (watched !== undefined) push.committedAt ??= now
        trace?.span('commit', decidedAt, now)
      },
      answered(outcomes) {
        const now = clock.monotonic()
        metrics.pushed(now - takenAt, outcomes)
        trace?.answered(now, outcomes)
      },
      failed(code) {
        if (watched !== undefined && push.committedAt === undefined) watch.forget(watched)
        metrics.pushFailed(code)
        trace?.failed(clock.monotonic(), code)
      },
    }
  }

  function reading<S extends Step>(step: S): { readonly to: S['to']; acknowledged(): void } | undefined {
    fed = watch.take(step.marks)
    // The snapshot was taken after the read was asked for, so this is a little too early rather than too late.
    if (step.canaryMs !== null) canaries.add(step.to, step.askedAt - step.canaryMs)
    const last = fed.at(-1)
    if (!last) return undefined
    const traced = fed.flatMap(({ trace }) => trace ?? [])
    const sampled = step.readAt - sampledAt >= sampleMs
    if (!sampled && traced.length === 0) return undefined
    const committedAt = last.committedAt ?? step.readAt
    let shown = 0
    return {
      to: step.to,
      acknowledged() {
        const now = clock.monotonic()
        if (sampled) {
          sampledAt = step.readAt
          metrics.acknowledged(now - committedAt)
        }
        if (shown++ < tracedSessions) for (const trace of traced) trace.span('acknowledge', step.readAt, now)
      },
    }
  }

  return {
    push: { began },
    hub: {
      reading,
      stepped({ askedAt, readAt, fedAt, changes, canaryMs }) {
        metrics.stepped({ readMs: readAt - askedAt, feedMs: fedAt - readAt, changes })
        // The snapshot was taken after the read was asked for, so this is a little too much rather than too little.
        if (canaryMs !== null) metrics.delivered(canaryMs + fedAt - askedAt)
        for (const { trace, committedAt = readAt } of fed) {
          trace?.span('capture', committedAt, readAt)
          trace?.span('batch', readAt, fedAt)
        }
        fed = []
      },
      acknowledged(seq) {
        const committedAt = canaries.committedAt(seq)
        if (committedAt !== undefined) metrics.reached(clock.monotonic() - committedAt)
      },
      stalled: () => metrics.stalled(),
      bootstrapped: (ms) => metrics.bootstrapped(ms),
    },
  }
}
