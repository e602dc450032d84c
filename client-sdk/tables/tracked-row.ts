import type { Row } from '../../protocol/rows/row.ts'
import type { RowOf } from '../../protocol/rows/row-type.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'

/** How far a row is from the server's: see docs/architecture.md, "States of a row". */
export interface SyncState {
  readonly status: 'local' | 'syncing' | 'acknowledged' | 'synced' | 'conflict' | 'rejected'
  /** Writes of this device on the row that have no final place yet. */
  readonly pending: number
  /** The open conflict of this row, if there is one. */
  readonly conflictId?: string
}

/** A row as users get it: its columns, and `$sync`. */
export type Tracked<T extends TableDescriptor> = RowOf<T> & { readonly $sync: SyncState }

/** An untyped tracked row, as the untyped inside of the SDK handles it. */
export type TrackedRow = Row & { readonly $sync: SyncState }

/** The row each tracked row was made from: tells in one look whether it is still right. */
const sources = new WeakMap<TrackedRow, Row>()

/** Columns whose values have parts that a caller could change. */
export function nestedColumns({ columns }: TableDescriptor): readonly string[] {
  return Object.keys(columns).filter((name) => columns[name]?.type === 'jsonb' || columns[name]?.type === 'text[]')
}

/**
 * A store in memory hands out the very values that it keeps: what changed them would change the replica without a
 * write, and the write that says so would find nothing to do.
 */
function freezeDeeply(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const part of Object.values(value)) freezeDeeply(part)
}

/**
 * Adds `$sync`, and freezes. `nested`: the names of `nestedColumns`. Returns `before` itself when neither the row nor
 * its state differs, so that consumers can compare by identity.
 */
export function trackRow(
  row: Row,
  sync: SyncState,
  before: TrackedRow | undefined,
  nested: readonly string[],
): TrackedRow {
  if (before !== undefined && sources.get(before) === row && sameSync(before.$sync, sync)) return before
  for (const name of nested) freezeDeeply(row[name])
  const tracked: TrackedRow = Object.freeze({ ...row, $sync: sync }) as TrackedRow
  sources.set(tracked, row)
  return tracked
}

function sameSync(a: SyncState, b: SyncState): boolean {
  return a === b || (a.status === b.status && a.pending === b.pending && a.conflictId === b.conflictId)
}
