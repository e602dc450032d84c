import type { Outcome } from '../../protocol/messages/mutation.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Json } from '../../protocol/rows/row.ts'
import type { Cursor } from '../../protocol/seq.ts'
import type { RowSync } from '../outbox/row-sync.ts'
import type { OutboxEntry, ReplicaMeta } from '../store/store.ts'

/** Counts up when a reader of the version before would read a file wrongly; new kinds of lines do not. */
export const exportVersion = 1

/**
 * One line of an export: a JSON object. Readers take the lines in order and skip kinds that they do not know. Tables
 * are SQL names, columns are properties as in the SDK, vectors are base64 of float32 little-endian.
 */
export type ExportLine =
  /** The first line: whose replica this is. */
  | {
      readonly kind: 'replica'
      readonly format: 'tidewire-replica'
      readonly version: number
      /** ISO time by the server's clock, as far as it is known here. */
      readonly at: string
      readonly organizationId: string | null
      readonly principal: ReplicaMeta['principal']
      readonly device: { readonly id: string | null; readonly name: string }
      readonly schemaHash: string | null
      /** Whether rows have their vector columns. */
      readonly embeddings: boolean
    }
  /** A row as this replica shows it, deleted ones too. It takes the place of an earlier line of the same row. */
  | {
      readonly kind: 'row'
      readonly table: string
      readonly row: Readonly<Record<string, Json>>
      /** Absent: the row is as the server sent it. */
      readonly sync?: RowSync
    }
  /** The row of an earlier line went while the export was read. */
  | { readonly kind: 'gone'; readonly table: string; readonly id: string }
  /** Forget the earlier rows of this table: it was loaded anew while the export was read. */
  | { readonly kind: 'again'; readonly table: string }
  | {
      readonly kind: 'subscription'
      readonly subscription: Subscription
      readonly state: 'new' | 'staging' | 'held'
    }
  /** A write that has not ended, refused and conflicting ones included, as it is sent; in the order of the calls. */
  | {
      readonly kind: 'write'
      readonly status: OutboxEntry['status']
      readonly mutation: OutboxEntry['mutation']
      readonly outcome: Outcome | null
    }
  /** The last line. A file without it, or with another number of lines before it, was cut off. */
  | {
      readonly kind: 'end'
      /** The position of the server's log that the rows are as of; null: never connected. */
      readonly cursor: Cursor | null
      /** ISO time. */
      readonly at: string
      /** Lines before this one. */
      readonly lines: number
    }
