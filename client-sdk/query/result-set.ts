import { rowId, type Row } from '../../protocol/rows/row.ts'
import type { TableChange } from '../replica/replica-change.ts'

export interface ResultRules {
  readonly matches: (row: Row) => boolean
  readonly compare: (a: Row, b: Row) => number
  /** Size of the window; absent: all matching rows. */
  readonly limit?: number
  /** With an offset, rows outside the window move it in ways that only a new read can tell. */
  readonly offset?: number
}

/**
 * The rows of one live query, kept up to date from what the replica says it changed, without asking the store: a change
 * of k rows costs k matches, and a merge only if one of them is in the result. Pure: no I/O, no time.
 *
 * Invariant: `rows` is sorted by `compare`, holds only matching rows, and is the first `limit` of all matching rows.
 */
export class ResultSet {
  readonly #rules: ResultRules
  #rows: readonly Row[] = []
  #ids: ReadonlySet<string> = new Set()

  constructor(rules: ResultRules) {
    this.#rules = rules
  }

  get rows(): readonly Row[] {
    return this.#rows
  }

  has(id: string): boolean {
    return this.#ids.has(id)
  }

  /** Takes a fresh read. */
  reset(rows: readonly Row[]): void {
    this.#rows = rows
    this.#ids = new Set(rows.map(rowId))
  }

  /** `requery`: the window cannot be known from the change alone; `unchanged`: no row of the result is touched. */
  apply(change: TableChange): 'changed' | 'unchanged' | 'requery' {
    if (change.all || (this.#rules.offset ?? 0) > 0) return 'requery'
    const leaving = new Set(change.deletes.filter((id) => this.#ids.has(id)))
    const incoming = new Map<string, Row>()
    for (const row of change.upserts) {
      const id = rowId(row)
      leaving.delete(id)
      if (this.#rules.matches(row)) incoming.set(id, row)
      else if (this.#ids.has(id)) leaving.add(id)
    }
    return leaving.size === 0 && incoming.size === 0 ? 'unchanged' : this.#merge(leaving, incoming)
  }

  #merge(leaving: ReadonlySet<string>, incoming: ReadonlyMap<string, Row>): 'changed' | 'unchanged' | 'requery' {
    const { compare, limit } = this.#rules
    const last = this.#rows.at(-1)
    const isFull = limit !== undefined && this.#rows.length >= limit
    const kept = this.#rows.filter((row) => !leaving.has(rowId(row)) && !incoming.has(rowId(row)))
    const sorted = [...incoming.values()].toSorted(compare)
    // Behind the end of a full window lie rows this set does not know, and they may come before a newcomer there.
    const inside = isFull && last !== undefined ? sorted.filter((row) => compare(row, last) <= 0) : sorted
    if (inside.length === 0 && kept.length === this.#rows.length) return 'unchanged'
    const merged = mergeSorted(kept, inside, compare)
    if (isFull && merged.length < this.#rows.length) return 'requery'
    this.reset(limit === undefined ? merged : merged.slice(0, limit))
    return 'changed'
  }
}

function mergeSorted(a: readonly Row[], b: readonly Row[], compare: (a: Row, b: Row) => number): readonly Row[] {
  const merged: Row[] = []
  let next = 0
  for (const row of a) {
    for (let other = b[next]; other !== undefined && compare(other, row) < 0; other = b[++next]) merged.push(other)
    merged.push(row)
  }
  return merged.concat(b.slice(next))
}
