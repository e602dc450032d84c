import type { OutboxEntry } from '../store/store.ts'
import { keyOf, type RowRef } from './row-key.ts'

/** How much may wait at once, parked writes included; a write beyond is refused with `outbox_full`. */
export interface OutboxLimits {
  readonly writes: number
  /** Of JSON text, in characters: all of them are in memory. */
  readonly bytes: number
}

export const defaultOutbox: OutboxLimits = { writes: 100_000, bytes: 64_000_000 }

const sizes = new WeakMap<OutboxEntry['mutation'], number>()

/** Characters of a write as JSON text, measured once. */
export function sizeOf({ mutation }: OutboxEntry): number {
  const size = sizes.get(mutation) ?? JSON.stringify(mutation).length
  sizes.set(mutation, size)
  return size
}

/** The same write with another counter, say, need not be measured again. */
function keepSize(before: OutboxEntry, { mutation }: OutboxEntry): void {
  if (before.mutation.set === mutation.set && before.mutation.base === mutation.base)
    sizes.set(mutation, sizeOf(before))
}

/** Says which other row a write shows on: the row that a `resolve` settles. */
export type TargetOf = (entry: OutboxEntry) => RowRef | null

/**
 * True while the write must be laid over the server's row: it is under way and the server's row does not hold it yet.
 * Once settled it is in the server's row (or lost a conflict there); laying it on again would count increments twice.
 */
export function isActive(entry: OutboxEntry): boolean {
  return !entry.settled && entry.status !== 'rejected'
}

/** Whether the write concerns the row only because it belongs to the row that is deleted or restored. */
export function isTakenBy({ mutation: { table, rowId, op } }: OutboxEntry, ref: RowRef): boolean {
  return (op === 'delete' || op === 'restore') && (table !== ref.table || rowId !== ref.rowId)
}

/**
 * All writes of a replica that have not ended, in call order, with what is asked of them: by id, by row, unsent, sent.
 * A mirror of what the store holds, changed only after the store has committed.
 */
export class Outbox {
  #byId = new Map<string, OutboxEntry>()
  readonly #byStatus: Readonly<Record<OutboxEntry['status'], Map<string, OutboxEntry>>> = {
    local: new Map(),
    syncing: new Map(),
    acknowledged: new Map(),
    conflict: new Map(),
    rejected: new Map(),
  }
  readonly #byRow = new Map<string, Map<string, OutboxEntry>>()
  /** The rows a write shows on, as known when it was made: what a `resolve` is about may be gone when it ends. */
  readonly #rows = new Map<string, readonly RowRef[]>()
  /** How many writes name this one as their dependency. */
  readonly #references = new Map<string, number>()
  #lastPosition = 0
  #bytes = 0

  get size(): number {
    return this.#byId.size
  }

  /** Of all writes as JSON text, in characters. */
  get bytes(): number {
    return this.#bytes
  }

  /** Writes under way: all but parked ones and those that lost. */
  get pendingCount(): number {
    return this.#byId.size - this.#byStatus.rejected.size - this.#byStatus.conflict.size
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
    return this.#byStatus.local.values()
  }

  /** Sent without an outcome so far, in clientSeq order. */
  get syncing(): readonly OutboxEntry[] {
    return [...this.#byStatus.syncing.values()].toSorted((a, b) => a.mutation.clientSeq - b.mutation.clientSeq)
  }

  /** Sent and not refused: what a batch may settle. */
  get sent(): readonly OutboxEntry[] {
    const { syncing, acknowledged, conflict } = this.#byStatus
    return [...syncing.values(), ...acknowledged.values(), ...conflict.values()]
  }

  get hasLocal(): boolean {
    return this.#byStatus.local.size > 0
  }

  /** Decided against, with losing values in a conflict: open, or out of this replica's reach (parked). */
  get lost(): readonly OutboxEntry[] {
    const { conflict, rejected } = this.#byStatus
    return [...conflict.values(), ...rejected.values()].filter(
      ({ outcome }) => outcome?.kind === 'conflict' && outcome.conflictId !== undefined,
    )
  }

  /** Refused, or out of reach. */
  get parked(): readonly OutboxEntry[] {
    return [...this.#byStatus.rejected.values()]
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

  /**
   * Writes that the `$sync` of the row tells of, in call order. One that takes the row along with another tells of it
   * only while it is under way: how it ended is told by its own row.
   */
  toldOn(ref: RowRef): readonly OutboxEntry[] {
    return this.ofRow(ref).filter((entry) => isActive(entry) || !isTakenBy(entry, ref))
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
    const before = this.#byId.get(id)
    this.#lastPosition = Math.max(this.#lastPosition, entry.position)
    if (before !== undefined) keepSize(before, entry)
    this.#bytes += sizeOf(entry) - (before === undefined ? 0 : sizeOf(before))
    this.#count(before, -1)
    this.#count(entry, 1)
    this.#byId.set(id, entry)
    if (before !== undefined && before.status !== entry.status) this.#byStatus[before.status].delete(id)
    this.#byStatus[entry.status].set(id, entry)
    const target = this.#rows.has(id) ? null : targetOf(entry)
    const rows = this.#rows.get(id) ?? [{ table, rowId }, ...(target === null ? [] : [target]), ...(entry.takes ?? [])]
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
    const entry = this.#byId.get(id)
    if (entry === undefined) return
    this.#bytes -= sizeOf(entry)
    this.#count(entry, -1)
    this.#byId.delete(id)
    this.#byStatus[entry.status].delete(id)
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
    for (const entries of Object.values(this.#byStatus)) entries.clear()
    for (const entry of sorted) this.#byStatus[entry.status].set(entry.mutation.id, entry)
  }
}
