/** Reads closer together than this bring the pieces of one commit. Milliseconds. */
const pieceMs = 0.5
/**
 * While reads come on average more often than that, what comes is left in the socket for `restMs`, and then read at
 * once.
 */
const [busyMs, restMs] = [5, 4]
/** A longer silence says no more; after one it takes some twenty reads in quick succession to be busy. */
const calmMs = 50
/** How much the newest gap counts. */
const weight = 1 / 8
/** So many bytes at once are worth their read, however often they come. */
const bulkBytes = 32 * 1024

/**
 * When to read a socket on which many small messages come. Each read wakes the process, which costs more than what it
 * brings: three reads for each commit of one row. The first ones after a while are read as they come.
 */
export class ReadPace {
  #readAt = Number.NEGATIVE_INFINITY
  #meanMs = calmMs

  /** After a read of so many bytes at `now`: how many milliseconds to leave what comes next in the socket. */
  rest(now: number, bytes: number): number {
    const gap = now - this.#readAt
    if (gap < pieceMs || bytes >= bulkBytes) return 0
    this.#readAt = now
    this.#meanMs += (Math.min(gap, calmMs) - this.#meanMs) * weight
    return this.#meanMs < busyMs ? restMs : 0
  }
}
