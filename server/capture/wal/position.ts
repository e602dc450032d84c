import type { Clock } from '../../../lib/clock.ts'

/** A position that only grows, and those who wait for it to pass another one. */
export class Position {
  readonly #clock: Clock
  readonly #waiters = new Set<{ readonly target: number; readonly done: (passed: boolean) => void }>()
  #value = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get value(): number {
    return this.#value
  }

  /** What is no number, or not beyond it, changes nothing. */
  pass(value: number): void {
    if (!(value > this.#value) || !Number.isFinite(value)) return
    this.#value = value
    for (const waiter of this.#waiters) if (waiter.target <= value) waiter.done(true)
  }

  /** Whether the position reaches `target` within `ms` milliseconds. */
  async reaches(target: number, ms: number): Promise<boolean> {
    if (target <= this.#value) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const waiter = { target, done: resolve }
    this.#waiters.add(waiter)
    const cancel = this.#clock.after(ms, () => resolve(false))
    try {
      return await promise
    } finally {
      cancel()
      this.#waiters.delete(waiter)
    }
  }
}
