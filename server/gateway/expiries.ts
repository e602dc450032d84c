import type { CancelTimer, Clock } from '../../lib/clock.ts'

/** A client whose clock runs a little late still gets its new token through. Milliseconds. */
const graceMs = 5000
/** Timers of the platform hold no longer. */
const longestTimerMs = 2 ** 31 - 1

/** What ends when its token does. */
export interface Expiring {
  expire(): void
}

/** The ends of the tokens of all sessions, with one timer for all. */
export class Expiries {
  readonly #clock: Clock
  readonly #ends = new Map<Expiring, number>()
  #next = Number.POSITIVE_INFINITY
  #cancel: CancelTimer = () => undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `at`: milliseconds since 1970. A later call for the same session counts. */
  set(session: Expiring, at: number): void {
    this.#ends.set(session, at)
    if (at < this.#next) this.#wait(at)
  }

  delete(session: Expiring): void {
    this.#ends.delete(session)
    if (this.#ends.size === 0) this.#wait(Number.POSITIVE_INFINITY)
  }

  /** Whether its token is past its end, though it may not have been told yet. */
  isOver(session: Expiring): boolean {
    return (this.#ends.get(session) ?? Number.POSITIVE_INFINITY) + graceMs <= this.#clock.now()
  }

  #wait(next: number): void {
    this.#cancel()
    this.#next = next
    if (next === Number.POSITIVE_INFINITY) return
    const ms = Math.max(0, next + graceMs - this.#clock.now())
    this.#cancel = this.#clock.after(Math.min(ms, longestTimerMs), () => this.#look())
  }

  #look(): void {
    const now = this.#clock.now()
    let next = Number.POSITIVE_INFINITY
    const due: Expiring[] = []
    for (const [session, at] of this.#ends) {
      if (at + graceMs <= now) due.push(session)
      else if (at < next) next = at
    }
    for (const session of due) {
      this.#ends.delete(session)
      session.expire()
    }
    this.#wait(next)
  }
}
