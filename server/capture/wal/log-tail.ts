import type { LoggedCommit } from '../change-source.ts'
import type { Seq } from '../../../protocol/seq.ts'

/**
 * The newest commits of the log, in the memory of the server that wrote them: who reads on from a position in here needs no query.
 * Commits are added in order, once they are durable in the log.
 */
export class LogTail {
  readonly #maxKeys: number
  #commits: LoggedCommit[] = []
  #keys = 0
  /** Every entry of the log after this one is here. */
  #since: Seq

  constructor(since: Seq, maxKeys: number) {
    this.#since = since
    this.#maxKeys = maxKeys
  }

  add(commits: readonly LoggedCommit[]): void {
    for (const commit of commits) {
      // A commit that is sent again was left out by the log too.
      if (commit.keys.length === 0 || commit.point.seq <= (this.#commits.at(-1)?.point.seq ?? this.#since)) continue
      this.#commits.push(commit)
      this.#keys += commit.keys.length
    }
    let gone = 0
    for (const commit of this.#commits) {
      if (this.#keys <= this.#maxKeys) break
      this.#keys -= commit.keys.length
      this.#since = commit.point.seq
      gone++
    }
    if (gone > 0) this.#commits = this.#commits.slice(gone)
  }

  /** A commit was logged that is not here: only what comes after it will be. */
  restart(since: Seq): void {
    this.#commits = []
    this.#keys = 0
    this.#since = since
  }

  /** All commits after a position, in order; undefined when some of them are not here any more. */
  after(from: Seq): readonly LoggedCommit[] | undefined {
    if (from < this.#since) return undefined
    const first = this.#commits.findLastIndex(({ point }) => point.seq <= from) + 1
    return this.#commits.slice(first)
  }
}
