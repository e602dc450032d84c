import type { CancelTimer, Clock } from '../../lib/clock.ts'

export interface PaceLimits {
  /** How many may go at once after a rest. */
  readonly burst: number
  /** How many a second may go for long. */
  readonly perSecond: number
}

/** Holds a sender to a rate below the server's limit (a token bucket): going above ends the connection. */
export class Pace {
  readonly #clock: Clock
  readonly #limits: PaceLimits
  #tokens: number
  #at: number
  #cancel: CancelTimer | null = null

  constructor(clock: Clock, limits: PaceLimits) {
    this.#clock = clock
    this.#limits = limits
    this.#tokens = limits.burst
    this.#at = clock.monotonic()
  }

  /** True: one may go now. Else `retry` is called when the next one may. */
  take(retry: () => void): boolean {
    const { burst, perSecond } = this.#limits
    const now = this.#clock.monotonic()
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#at) / 1000) * perSecond)
    this.#at = now
    if (this.#tokens >= 1) {
      this.#tokens -= 1
      return true
    }
    this.#cancel ??= this.#clock.after(Math.ceil(((1 - this.#tokens) / perSecond) * 1000), () => {
      this.#cancel = null
      retry()
    })
    return false
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = null
  }
}
