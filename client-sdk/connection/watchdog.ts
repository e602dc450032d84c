import type { CancelTimer, Clock } from '../../lib/clock.ts'

/** Calls once when it was armed and not fed for so long. */
export class Watchdog {
  readonly #clock: Clock
  readonly #afterMs: number
  readonly #bark: () => void
  #cancel: CancelTimer = () => {}

  constructor(clock: Clock, afterMs: number, bark: () => void) {
    this.#clock = clock
    this.#afterMs = afterMs
    this.#bark = bark
  }

  /** Starts to wait, from now. */
  arm(): void {
    this.#cancel()
    this.#cancel = this.#clock.after(this.#afterMs, this.#bark)
  }

  disarm(): void {
    this.#cancel()
  }
}
