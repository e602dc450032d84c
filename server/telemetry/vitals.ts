/** Figures of one server that are kept in the database for trends. Null: nothing was measured. */
export interface Vitals {
  readonly node: string
  readonly ready: boolean
  readonly poolUsed: number
  readonly connections: number
  /** Average time of a push since the last look. Milliseconds. */
  readonly pushMs: number | null
  /** Average time from the commit of a canary until the hub had handed it out, since the last look. Milliseconds. */
  readonly feedLagMs: number | null
  readonly openConflicts: number | null
}

/** Something that was timed so often, and how long it took together. */
export interface Timed {
  readonly count: number
  readonly ms: number
}

/** The average of what was timed since the last call; null: nothing was. */
export function averageSince(total: () => Timed): () => number | null {
  let last: Timed = { count: 0, ms: 0 }
  return () => {
    const before = last
    last = total()
    const count = last.count - before.count
    return count === 0 ? null : (last.ms - before.ms) / count
  }
}
