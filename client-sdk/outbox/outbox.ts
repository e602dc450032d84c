import type { OutboxEntry } from '../store/store.ts'
import { keyOf, type RowRef } from './row-key.ts'

/** Most writes that may wait at once; a write beyond is refused with `outbox_full`. */
export const outboxLimit = 100_000

/** Says which other row a write shows on: the row that a `resolve` settles. */
export type TargetOf = (entry: OutboxEntry) => RowRef | null

/**
 * True while the write must be laid over the server's row: it is under way and the server's row does not hold it yet.
 * Once settled it is in the server's row (or lost a conflict there); laying it on again would count increments twice.
 */
export function isActive(entry: OutboxEntry): boolean {
  return !entry.settled && entry.status !== 'rejected'
}

/**
 * All writes of a replica that have not ended, in call order, with what is asked of them: by id, by row, unsent, sent.
 * A mirror of what the store holds, changed only after the store has committed.
 */
export class Outbox {
  #byId = new Map<string, OutboxEntry>()
  readonly #byRow = new Map<string, Map<string, OutboxEntry>>()
  readonly #local = new Map<string, OutboxEntry>()
  readonly #syncing = new Map<string, OutboxEntry>()
  readonly #conflicting = new Map<string, OutboxEntry>()
  readonly #rejected = new Map<string, OutboxEntry>()
  /** The rows a write shows on, as known when it was made: what a `resolve` is about may be gone when it ends. */
  readonly #rows = new Map<string, readonly RowRef[]>()
  /** How many writes name this one as their dependency. */
  readonly #references = new Map<string, number>()
  #lastPosition = 0

  get size(): number {
    return this.#byId.size
  }

  /** Writes under way: all but parked ones and those that lost. */
  get pendingCount(): number {
    return this.#byId.size - this.#rejected.size - this.#conflicting.size
  }

  get lastPosition(): number {
    return this.#lastPosition
  }

  /** In call order. */
  get entries(): readonly OutboxEntry[] {
    return [...this.#byId.values()]
  }

  /** Not sent yet, in the order in which they will be. */
  get local(): Iterable<OutboxEntry> {
    return this.#local.values()
  }

  /** Sent without an outcome so far, in clientSeq order. */
  get syncing(): readonly OutboxEntry[] {
    return [...this.#syncing.values()].toSorted((a, b) => a.mutation.clientSeq - b.mutation.clientSeq)
  }

  get hasLocal(): boolean {
    return this.#local.size > 0
  }

  /** With losing values in a conflict that is still open. */
  get conflicting(): Iterable<OutboxEntry> {
    return this.#conflicting.values()
  }

  /** Whether a later write names this one as its dependency. */
  isReferenced(id: string): boolean {
    return this.#references.has(id)
  }

  get(id: string): OutboxEntry | undefined {
    return this.#byId.get(id)
  }

  /** Writes that touch the row, in call order. */
  ofRow(ref: RowRef): readonly OutboxEntry[] {
    const found = this.#byRow.get(keyOf(ref))
    return found === undefined ? [] : [...found.values()].toSorted((a, b) => a.position - b.position)
  }

  /** The rows that a write shows on; undefined for a write that is not in here yet. */
  rowsOf(id: string): readonly RowRef[] | undefined {
    return this.#rows.get(id)
  }

  apply(puts: readonly OutboxEntry[], deletes: readonly string[], targetOf: TargetOf): void {
    for (const id of deletes) this.#drop(id)
    let inOrder = true
    for (const entry of puts) {
      if (!this.#byId.has(entry.mutation.id) && entry.position <= this.#lastPosition) inOrder = false
      this.#put(entry, targetOf)
    }
    if (!inOrder) this.#sort()
  }

  #put(entry: OutboxEntry, targetOf: TargetOf): void {
    const { id, table, rowId } = entry.mutation
    this.#lastPosition = Math.max(this.#lastPosition, entry.position)
    this.#count(this.#byId.get(id), -1)
    this.#count(entry, 1)
    this.#byId.set(id, entry)
    move(this.#local, entry, entry.status === 'local')
    move(this.#syncing, entry, entry.status === 'syncing')
    move(this.#conflicting, entry, entry.status === 'conflict')
    move(this.#rejected, entry, entry.status === 'rejected')
    const target = this.#rows.has(id) ? null : targetOf(entry)
    const rows = this.#rows.get(id) ?? [{ table, rowId }, ...(target === null ? [] : [target])]
    this.#rows.set(id, rows)
    for (const key of rows.map(keyOf)) {
      const ofRow = this.#byRow.get(key) ?? new Map<string, OutboxEntry>()
      this.#byRow.set(key, ofRow.set(id, entry))
    }
  }

  #count(entry: OutboxEntry | undefined, by: 1 | -1): void {
    for (const id of entry?.mutation.dependsOn ?? []) {
      const count = (this.#references.get(id) ?? 0) + by
      if (count > 0) this.#references.set(id, count)
      else this.#references.delete(id)
    }
  }

  #drop(id: string): void {
    this.#count(this.#byId.get(id), -1)
    this.#byId.delete(id)
    this.#local.delete(id)
    this.#syncing.delete(id)
    this.#conflicting.delete(id)
    this.#rejected.delete(id)
    for (const key of (this.#rows.get(id) ?? []).map(keyOf)) {
      const ofRow = this.#byRow.get(key)
      ofRow?.delete(id)
      if (ofRow?.size === 0) this.#byRow.delete(key)
    }
    this.#rows.delete(id)
  }

  /** Rare: writes that took a new id keep their old place (a cloned device). */
  #sort(): void {
    const sorted = this.entries.toSorted((a, b) => a.position - b.position)
    this.#byId = new Map(sorted.map((entry) => [entry.mutation.id, entry]))
    this.#local.clear()
    this.#syncing.clear()
    for (const entry of sorted) {
      move(this.#local, entry, entry.status === 'local')
      move(this.#syncing, entry, entry.status === 'syncing')
    }
  }
}

function move(map: Map<string, OutboxEntry>, entry: OutboxEntry, belongs: boolean): void {
  if (belongs) map.set(entry.mutation.id, entry)
  else map.delete(entry.mutation.id)
}
