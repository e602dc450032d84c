import type { CancelTimer, Clock } from '../../lib/clock.ts'
import { timing } from './connection-options.ts'

/**
 * Since when it is not sure that the replica has all there is. Current while frontiers come; stale since the last one
 * when they stop or the connection ends; never "current" on the strength of an open socket alone.
 */
export class Freshness {
  readonly #clock: Clock
  readonly #changed: () => void
  #staleSince: number | null
  #lastCurrent: number
  #cancel: CancelTimer = () => {}

  constructor(clock: Clock, changed: () => void) {
    this.#clock = clock
    this.#changed = changed
    this.#lastCurrent = clock.now()
    this.#staleSince = this.#lastCurrent
  }

  /** Milliseconds since 1970; null: current. */
  get staleSince(): number | null {
    return this.#staleSince
  }

  connected(): void {
    this.#watch()
  }

  /** A frontier was reached. */
  current(): void {
    this.#lastCurrent = this.#clock.now()
    this.#staleSince = null
    this.#watch()
    this.#changed()
  }

  /** The server says that it may not have everything itself. */
  doubted(): void {
    this.#staleSince ??= this.#lastCurrent
    this.#changed()
  }

  disconnected(): void {
    this.#cancel()
    this.#staleSince ??= this.#lastCurrent
  }

  #watch(): void {
    this.#cancel()
    this.#cancel = this.#clock.after(timing.frontier, () => {
      this.#staleSince ??= this.#lastCurrent
      this.#changed()
    })
  }
}
