import type { CancelTimer, Clock } from '../../lib/clock.ts'

/** The clock of a machine that somebody sets: what it shows jumps, what it measures does not. */
export class JumpingClock implements Clock {
  readonly #clock: Clock
  #aheadMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  jump(ms: number): void {
    this.#aheadMs = Math.floor(ms)
  }

  now(): number {
    return this.#clock.now() + this.#aheadMs
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  after(ms: number, run: () => void): CancelTimer {
    return this.#clock.after(ms, run)
  }
}
