import type { Seq } from '../../../protocol/seq.ts'

/** Who made a change, as the settings of the transaction say; the names are those of the log's columns. */
export interface Origin {
  readonly mutation_id: string | null
  readonly origin_device_id: string | null
  readonly actor_user_id: string | null
  readonly actor_agent_id: string | null
}

export const noOrigin: Origin = {
  mutation_id: null,
  origin_device_id: null,
  actor_user_id: null,
  actor_agent_id: null,
}

/** One change of one row inside a transaction, or a mark, or a reset. Never row contents. */
export interface CapturedKey {
  readonly organizationId: string | null
  readonly channel: string
  readonly oldChannel: string | null
  readonly table: string
  readonly rowId: string | null
  readonly op: 'upsert' | 'delete' | 'reset' | 'mark'
  /** The row did not exist before. */
  readonly born: boolean
  /** Null where the table has none, or the row is gone. */
  readonly version: number | null
  readonly origin: Origin
}

/** What ends a transaction in the stream. Positions are bytes of WAL. */
export interface CommitPoint {
  /** The lower half of the top-level transaction's id. */
  readonly xid: number
  /** Where the commit record begins: the position of the commit in the log. */
  readonly seq: Seq
  /** Where the commit record ends: all commits before are earlier ones. */
  readonly end: number
  /** Seconds since 1970. */
  readonly at: number
}

/** What the stream asks the log writer to do, in order. */
export type Action =
  /**
   * Log these keys, folded, under one position. `told`: a follower waits to see the position pass, even without keys.
   */
  | {
      readonly kind: 'commit'
      readonly point: CommitPoint
      readonly keys: readonly CapturedKey[]
      readonly told: boolean
    }
  /** Keep keys of an open transaction out of memory. */
  | { readonly kind: 'spill'; readonly xid: number; readonly keys: readonly SpilledKey[] }
  /** Log all that was spilled of a transaction, as one entry. */
  | { readonly kind: 'commit_spilled'; readonly point: CommitPoint }
  /** Forget what was spilled of a subtransaction, or of the whole one (`subxid` null). */
  | { readonly kind: 'forget'; readonly xid: number; readonly subxid: number | null }

export interface SpilledKey {
  readonly subxid: number
  /** Order within the transaction. */
  readonly n: number
  readonly key: CapturedKey
}
