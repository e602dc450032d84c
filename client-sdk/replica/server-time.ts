import type { Clock } from '../../lib/clock.ts'

/** A difference below this may be the way of a message, and needs no correction. Milliseconds. */
const noticeableMs = 5_000

/** What the server tells in passing may have waited longer on its way. Milliseconds. */
const passingMs = 60_000

/**
 * The server's time, as far as this device knows it: ids and dates of writes are made by it, so that a device whose
 * clock is wrong dates its writes right. While connected it goes on by monotonic time from what the server last said,
 * since a clock may be set at any moment; otherwise by this device's clock and how far the server's was ahead of it the
 * last time.
 */
export class ServerTime {
  readonly #clock: Pick<Clock, 'now' | 'monotonic'>
  #aheadMs: number
  #anchor: { readonly now: number; readonly monotonic: number } | null = null

  /** `aheadMs`: how far the server's clock was ahead of this one, when it was last told; negative: behind. */
  constructor(clock: Pick<Clock, 'now' | 'monotonic'>, aheadMs: number) {
    this.#clock = clock
    this.#aheadMs = aheadMs
  }

  /** Milliseconds since 1970. */
  now(): number {
    if (this.#anchor === null) return this.#clock.now() + this.#aheadMs
    return Math.floor(this.#anchor.now + this.#clock.monotonic() - this.#anchor.monotonic)
  }

  /** Takes the server's word, in milliseconds since 1970; answers how far it is ahead of this device's clock. */
  connected(serverTime: number): number {
    const now = this.#clock.now()
    const aheadMs = Math.round(serverTime - now)
    this.#aheadMs = Math.abs(aheadMs) < noticeableMs ? 0 : aheadMs
    this.#anchor = { now: now + this.#aheadMs, monotonic: this.#clock.monotonic() }
    return this.#aheadMs
  }

  /**
   * Takes a time that the server told in passing: the clock here may have been set since they met. Null: it tells no
   * more.
   */
  told(serverTime: number | null): void {
    if (serverTime === null) this.#anchor = null
    else if (Math.abs(serverTime - this.#clock.now() - this.#aheadMs) > passingMs) this.connected(serverTime)
  }
}
