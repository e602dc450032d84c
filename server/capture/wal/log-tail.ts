import type { RecentCommit } from '../change-source.ts'
import { zeroSeq, type Seq } from '../../../protocol/seq.ts'

/** So far the tail outgrows its size before it is cut: to cut it at each commit would copy it at each commit. */
const slack = 1.25

/**
 * The newest commits, in the memory of the server that reads them from the WAL and writes the log: who reads on from a
 * position in here needs no query. They are added in order as they come, before they are in the log: a commit's
 * position is the same however often it comes.
 */
export class LogTail {
  readonly #maxKeys: number
  #commits: RecentCommit[] = []
  #keys = 0
  /** Every commit after this one is here. */
  #since = zeroSeq

  /** Holds at least so many keys of the newest commits, and not much more. */
  constructor(maxKeys: number) {
    this.#maxKeys = maxKeys
  }

  /** The log holds commits up to here, of which those that came again are to be forgotten. */
  begin(since: Seq): void {
    this.#commits = this.#commits.filter(({ point }) => point.seq > since)
    this.#keys = this.#commits.reduce((keys, commit) => keys + commit.keys.length, 0)
    if (since > this.#since) this.#since = since
  }

  add(commit: RecentCommit): void {
    // One that is sent again was left out by the log too.
    if (commit.keys.length === 0 || commit.point.seq <= (this.#commits.at(-1)?.point.seq ?? this.#since)) return
    this.#commits.push(commit)
    this.#keys += commit.keys.length
    if (this.#keys > this.#maxKeys * slack) this.#shorten()
  }

  /** What is held is not to be relied on any more: only what comes from now on. */
  forget(): void {
    this.restart(this.#commits.at(-1)?.point.seq ?? this.#since)
  }

  /** A commit came that is not held here: only what comes after it will be. */
  restart(since: Seq): void {
    this.#commits = []
    this.#keys = 0
    if (since > this.#since) this.#since = since
  }

  #shorten(): void {
    let gone = 0
    for (const { point, keys } of this.#commits) {
      if (this.#keys <= this.#maxKeys) break
      this.#keys -= keys.length
      this.#since = point.seq
      gone++
    }
    this.#commits = this.#commits.slice(gone)
  }

  /** All commits after a position, in order; undefined when some of them are not here any more. */
  after(from: Seq): readonly RecentCommit[] | undefined {
    if (from < this.#since) return undefined
    const first = this.#commits.findLastIndex(({ point }) => point.seq <= from) + 1
    return this.#commits.slice(first)
  }
}
