import type { CancelTimer, Clock } from '../../lib/clock.ts'

/** Milliseconds since 1970. */
export const startOfTests = Date.UTC(2026, 10, 22, 1, 0, 0)

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #now: number
  #timers: { readonly at: number; readonly run: () => void }[] = []

  constructor(now = startOfTests) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now
  }

  after(ms: number, run: () => void): CancelTimer {
    const timer = { at: this.#now + ms, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Goes on by so much, running timers in their order; promises settle in between. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    await settled()
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers = this.#timers.filter((other) => other !== due)
      this.#now = Math.max(this.#now, due.at)
      due.run()
      await settled()
    }
    this.#now = until
    await settled()
  }
}

/** Lets everything that waits for nothing but other promises run to its end. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}
