import type { Clock } from '../../lib/clock.ts'

/** Allows `burst` at once and `perSecond` in the long run. */
export class TokenBucket {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #at: number

  constructor(clock: Clock, perSecond: number, burst: number) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#at = clock.monotonic()
  }

  /** Takes one, or a part of one; returns 0 when there was as much, else in how many milliseconds there will be. */
  take(cost = 1): number {
    const now = this.#clock.monotonic()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) * this.#perSecond) / 1000)
    this.#at = now
    if (this.#tokens < cost) return Math.ceil(((cost - this.#tokens) * 1000) / this.#perSecond)
    this.#tokens -= cost
    return 0
  }
}
