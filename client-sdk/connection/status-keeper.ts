import type { Clock } from '../../lib/clock.ts'
import { Listeners } from '../../lib/listeners.ts'
import type { TideError } from '../../protocol/error.ts'
import { troubles, type ConnectionStatus } from './connection-options.ts'
import { phaseOf, toTideError } from './connection-phase.ts'
import { isUp, type ConnectionState } from './connection-state.ts'
import { Freshness } from './freshness.ts'

/** What a connection shows of itself; it is told only when it differs. */
export class StatusKeeper {
  readonly #state: () => ConnectionState
  readonly #freshness: Freshness
  readonly #listeners = new Listeners<ConnectionStatus>()
  #error: TideError | undefined
  #told: ConnectionStatus

  constructor(clock: Clock, state: () => ConnectionState) {
    this.#state = state
    this.#freshness = new Freshness(clock, () => this.tell())
    this.#told = this.now
  }

  get now(): ConnectionStatus {
    const state = this.#state()
    const error = state.kind === 'stopped' ? state.error : this.#error
    return {
      connection: phaseOf(state),
      staleSince: this.#freshness.staleSince,
      ...(error === undefined ? {} : { error }),
    }
  }

  onChange(listener: (status: ConnectionStatus) => void): () => void {
    return this.#listeners.add(listener)
  }

  /** To be called when the state may be another one. */
  tell(): void {
    const { now } = this
    const told = this.#told
    if (told.connection === now.connection && told.staleSince === now.staleSince && told.error === now.error) return
    this.#told = now
    this.#listeners.tell(now)
  }

  /** An error that has no other place to go. */
  report(error: unknown): void {
    this.#error = toTideError(error)
    this.tell()
  }

  /** What the server says is wrong on its side is shown; it may also mean that not everything comes. */
  doubt(error: TideError): void {
    if (!troubles.has(error.code)) return
    this.report(error)
    if (error.code !== 'storage_full') this.#freshness.doubted()
  }

  /** Everything the server had a moment ago is here. */
  current(): void {
    if (this.#error && troubles.has(this.#error.code)) this.#error = undefined
    this.#freshness.current()
  }

  welcomed(): void {
    this.#freshness.connected()
  }

  started(): void {
    this.#error = undefined
  }

  /** The connection is about to be tried again because of `error`. */
  lost(error: TideError): void {
    if (isUp(this.#state())) this.#error = error
  }

  disconnected(): void {
    this.#freshness.disconnected()
  }
}
