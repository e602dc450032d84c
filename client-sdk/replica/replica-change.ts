import type { Outcome } from '../../protocol/messages/mutation.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { RowRef } from '../outbox/row-key.ts'
import type { OutboxEntry } from '../store/store.ts'

/** What one atomic step changed on the replica, for live queries and waiting writes. */
export interface ReplicaChange {
  /** By SQL table name. `all`: too many rows to name (a bootstrap, a purge): re-read. */
  readonly tables: ReadonlyMap<string, TableChange>
  /** Writes that changed status; `entry` null: synced or discarded, and gone from the outbox. */
  readonly writes: readonly WriteChange[]
  /** Rows whose `$sync` changed though their values may not have, by SQL table name. */
  readonly states: ReadonlyMap<string, ReadonlySet<string>>
  /** Subscriptions whose record changed or went, by id. */
  readonly subscriptions: ReadonlySet<string>
  /** Those of them that somebody here follows no more; others that went were lost. */
  readonly left: ReadonlySet<string>
}

/** `unknown`: it went while another tab had the replica, and nothing was kept of it. */
export type WriteEnd = 'synced' | 'discarded' | 'unknown'

export interface WriteChange {
  readonly id: string
  readonly entry: OutboxEntry | null
  readonly end?: WriteEnd
  /**
   * Of a write that ends, where it was answered: its batch may have come before, so that no change told of the answer
   * alone.
   */
  readonly outcome?: Outcome
  /** Discarded only in name: the same write goes on under this id (a retry, a new identity). */
  readonly replacedBy?: string
}

export type TableChange =
  | { readonly all: true }
  | { readonly all: false; readonly upserts: readonly Row[]; readonly deletes: readonly string[] }

/** These and more rows whose `$sync` changed. */
export function withStates(states: ReplicaChange['states'], refs: readonly RowRef[]): ReplicaChange['states'] {
  const merged = new Map([...states].map(([table, ids]) => [table, new Set(ids)]))
  for (const { table, rowId } of refs) merged.set(table, (merged.get(table) ?? new Set<string>()).add(rowId))
  return merged
}
