/**
 * Writes of the log begin at least so far apart, unless much waits: a transaction of its own for each commit would cost
 * as much as the commit. While more than `manyCommits` come at once the pause doubles, up to the second figure: those
 * who are connected to the writer get them from memory, and do not wait for the log.
 */
const [gatherMs, longestGatherMs] = [3, 24]
/** The first commit after a pause waits this long: those who are connected here are told before the log is written. */
const leadMs = 1
const manyCommits = 4

/** How long the writer of the log gathers commits before it writes them. Times are monotonic milliseconds. */
export class WritePace {
  #beganAt = Number.NEGATIVE_INFINITY
  #pauseMs = gatherMs

  /** How long to wait for more before a write begins. */
  wait(now: number): number {
    return Math.max(leadMs, this.#beganAt + this.#pauseMs - now)
  }

  /** A write begins. */
  begin(now: number): void {
    this.#beganAt = now
  }

  /** So many commits were in it. */
  wrote(commits: number): void {
    this.#pauseMs = commits > manyCommits ? Math.min(longestGatherMs, this.#pauseMs * 2) : gatherMs
  }
}
