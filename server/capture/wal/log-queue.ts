import type { Action } from './captured-commit.ts'

/** What the log's writer has to do. `position`: everything before has been sent. */
export type Work = Action | Position

interface Position {
  readonly kind: 'position'
  readonly end: number
}

type Commit = Action & { readonly kind: 'commit' }
/** Commits for one transaction, and the place in the WAL that is reached when it is durable. */
interface Batch {
  readonly kind: 'batch'
  readonly commits: readonly Commit[]
  readonly end: number
}

/**
 * What arrived and is not in the log yet, in order. Positions come between commits all the time: they separate no
 * batches, and of several in a row the last one says it all.
 */
export class LogQueue {
  readonly #batchKeys: number
  #works: Work[] = []
  #weight = 0

  /** A batch has as many commits as have so many keys, but at least one. */
  constructor(batchKeys: number) {
    this.#batchKeys = batchKeys
  }

  /** Number of keys, and one for each thing besides. */
  get weight(): number {
    return this.#weight
  }

  get isEmpty(): boolean {
    return this.#works.length === 0
  }

  /** What comes next is written to the log, commit by commit. */
  get beginsWithCommit(): boolean {
    return this.#works[0]?.kind === 'commit'
  }

  push(work: Work): void {
    if (work.kind === 'position' && this.#works.at(-1)?.kind === 'position') this.#works.pop()
    else this.#weight += weightOf(work)
    this.#works.push(work)
  }

  /** The next work: commits as far as they fit in one transaction, or one thing of another kind. */
  take(): Batch | Exclude<Work, Commit> | undefined {
    const [first] = this.#works
    if (first?.kind !== 'commit') {
      this.#drop(first ? 1 : 0)
      return first
    }
    const commits: Commit[] = []
    let [keys, count, end] = [0, 0, 0]
    for (const work of this.#works) {
      if (work.kind === 'position') end = Math.max(end, work.end)
      else if (work.kind !== 'commit' || (count > 0 && keys + work.keys.length > this.#batchKeys)) break
      else {
        commits.push(work)
        keys += work.keys.length
        end = Math.max(end, work.point.end)
      }
      count++
    }
    this.#drop(count)
    return { kind: 'batch', commits, end }
  }

  #drop(count: number): void {
    for (const work of this.#works.slice(0, count)) this.#weight -= weightOf(work)
    this.#works = this.#works.slice(count)
  }
}

function weightOf(work: Work): number {
  return work.kind === 'commit' || work.kind === 'spill' ? work.keys.length + 1 : 1
}
