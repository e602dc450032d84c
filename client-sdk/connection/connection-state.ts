import { unreachable } from '../../lib/invariant.ts'
import type { TideError } from '../../protocol/error.ts'

/**
 * The life of a connection, as a pure function. SPEC.md beside this file has the table and the invariants.
 *
 *     idle ──connect──▶ connecting ──opened──▶ greeting ──welcomed──▶ live
 *                        ▲   │ lost               │ lost                │ lost
 *                        │   ▼                    ▼                     ▼
 *                        └──due──────────────── waiting ◀──────────────┘
 *     any ──disconnect──▶ idle      any ──refused──▶ stopped      any ──close──▶ closed
 */
export type ConnectionState =
  | { readonly kind: 'idle' }
  /** Asking for a token and opening the transport. `attempt`: failed tries before this one. */
  | { readonly kind: 'connecting'; readonly attempt: number }
  /** `hello` is sent. */
  | { readonly kind: 'greeting'; readonly attempt: number }
  | { readonly kind: 'live'; readonly attempt: number; readonly since: number }
  /** `until` as of `Clock.monotonic`. */
  | { readonly kind: 'waiting'; readonly attempt: number; readonly until: number }
  /** Trying again would meet the same refusal; only `connect` leaves it. */
  | { readonly kind: 'stopped'; readonly error: TideError }
  | { readonly kind: 'closed' }

export type ConnectionEvent =
  | { readonly kind: 'connect' }
  | { readonly kind: 'disconnect' }
  | { readonly kind: 'close' }
  | { readonly kind: 'opened' }
  | { readonly kind: 'welcomed' }
  /** The transport ended, an answer did not come in time, or the server ended the connection in a way that may pass. */
  | { readonly kind: 'lost'; readonly retryAfterMs?: number | undefined }
  /** The server ended the connection in a way that will not pass by itself. */
  | { readonly kind: 'refused'; readonly error: TideError }
  /** The wait is over. */
  | { readonly kind: 'due' }

/**
 * What the shell does, in this order: `hangUp` the transport and forget the session · `open` a transport · send `hello`
 * (`greet`) · `start` the session · `wait` until the state's time.
 */
export type ConnectionEffect = 'hangUp' | 'open' | 'greet' | 'start' | 'wait'

export interface Transition {
  readonly state: ConnectionState
  readonly effects: readonly ConnectionEffect[]
}

export interface TransitionContext {
  /** `Clock.monotonic`, milliseconds. */
  readonly now: number
  /** Pause before a retry after so many failed tries, milliseconds. */
  readonly delay: (attempt: number) => number
}

/**
 * A connection that has lived this long counts as good: the next failure starts at the shortest pause again.
 * Milliseconds.
 */
export const provenAfterMs = 10_000

export function transition(state: ConnectionState, event: ConnectionEvent, context: TransitionContext): Transition {
  if (state.kind === 'closed') return stay(state)
  switch (event.kind) {
    case 'connect':
      return state.kind === 'idle' || state.kind === 'stopped' || state.kind === 'waiting' ? open(0) : stay(state)
    case 'disconnect':
      return state.kind === 'idle' ? stay(state) : { state: { kind: 'idle' }, effects: ['hangUp'] }
    case 'close':
      return { state: { kind: 'closed' }, effects: ['hangUp'] }
    case 'opened':
      return state.kind === 'connecting'
        ? { state: { kind: 'greeting', attempt: state.attempt }, effects: ['greet'] }
        : stay(state)
    case 'welcomed':
      return state.kind === 'greeting'
        ? { state: { kind: 'live', attempt: state.attempt, since: context.now }, effects: ['start'] }
        : stay(state)
    case 'lost':
      return lost(state, event.retryAfterMs ?? 0, context)
    case 'refused':
      return isUp(state) ? { state: { kind: 'stopped', error: event.error }, effects: ['hangUp'] } : stay(state)
    case 'due':
      if (state.kind !== 'waiting') return stay(state)
      // Timers count whole milliseconds, so one may fire a little early: waiting then goes on.
      return context.now >= state.until ? open(state.attempt) : { state, effects: ['wait'] }
    default:
      return unreachable(event)
  }
}

type Up = Extract<ConnectionState, { kind: 'connecting' | 'greeting' | 'live' }>

/** A transport may exist. */
export function isUp(state: ConnectionState): state is Up {
  return state.kind === 'connecting' || state.kind === 'greeting' || state.kind === 'live'
}

function open(attempt: number): Transition {
  return { state: { kind: 'connecting', attempt }, effects: ['open'] }
}

function lost(state: ConnectionState, retryAfterMs: number, { now, delay }: TransitionContext): Transition {
  if (!isUp(state)) return stay(state)
  const isProven = state.kind === 'live' && now - state.since >= provenAfterMs
  const attempt = isProven ? 0 : state.attempt
  const until = now + Math.max(delay(attempt), retryAfterMs)
  return { state: { kind: 'waiting', attempt: attempt + 1, until }, effects: ['hangUp', 'wait'] }
}

function stay(state: ConnectionState): Transition {
  return { state, effects: [] }
}
