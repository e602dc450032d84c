interface Sample {
  readonly at: number
  readonly written: number
}

/**
 * How long what has not arrived yet has been waiting, from looking at two counters now and then: what was written, and
 * how far of it was taken. Exact to the time between two looks. Keeps a bounded number of looks; when more pass without
 * progress, every second one of the older is forgotten and the wait is told a little too short.
 */
export class LagClock {
  readonly #most: number
  #waiting: Sample[] = []
  #written = 0

  constructor(most = 256) {
    this.#most = most
  }

  /**
   * A look at time `at` (milliseconds); returns the wait in milliseconds, 0 when all was taken that stood there at the
   * last look.
   */
  look(at: number, written: number, taken: number): number {
    // An older copy was put back, or another server took over: what was looked at before is of another history.
    const wentBack = written < this.#written
    this.#written = written
    this.#waiting = wentBack ? [] : this.#waiting.filter((sample) => sample.written > taken)
    if (written > taken && written > (this.#waiting.at(-1)?.written ?? -1)) this.#waiting.push({ at, written })
    if (this.#waiting.length > this.#most) this.#waiting = this.#waiting.filter((_, index) => index % 2 === 0)
    const [oldest] = this.#waiting
    return oldest ? Math.max(0, at - oldest.at) : 0
  }
}
