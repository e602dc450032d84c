import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Query } from '../../protocol/rows/filter.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Cursor } from '../../protocol/seq.ts'

/**
 * Where a replica keeps its rows and its unsent writes. Two stores ship (`memory`, `pglite`); `client-sdk/testing`
 * exports the contract suite that any other must pass.
 *
 * Consistency a store must give: `commit` is atomic and, when its promise resolves, as durable as the store can be
 * (PGlite: survives a kill of the process at any moment; memory: lives as long as the object). Commits are applied in
 * call order. A read sees all commits whose promise resolved before it was called, and never a part of one.
 */
export interface ReplicaStore {
  /** Everything but rows, as of the last commit. Called once, first. */
  load(): Promise<StoredState>
  /** The rows with these ids as shown to the user, vectors included; missing ones are left out. SQL table name. */
  rows(table: string, ids: readonly string[]): Promise<readonly Row[]>
  /** The rows a query selects, in its order, without vector columns. Deleted rows only with `withDeleted`. */
  query(table: string, query: Query): Promise<readonly Row[]>
  commit(commit: StoreCommit): Promise<void>
  /** Rows staged for a subscription with these ids, vectors included. */
  staged(subscription: string, table: string, ids: readonly string[]): Promise<readonly Row[]>
  /**
   * The nearest rows by cosine distance among those that match (deleted ones never do), nearest first; score = cosine
   * similarity. Exact. Rows come without vector columns; those that have no vector, or one of length 0, are left out.
   */
  nearest(table: string, request: NearestRequest): Promise<readonly { readonly row: Row; readonly score: number }[]>
  /** Read-only SQL, where the store speaks it. */
  readonly sql?: (text: string, params: readonly unknown[]) => Promise<readonly Readonly<Record<string, unknown>>[]>
  close(): Promise<void>
}

/** What reads rows. */
export type ReplicaReader = Pick<ReplicaStore, 'rows' | 'query' | 'nearest'>

export interface NearestRequest {
  readonly column: string
  readonly vector: Float32Array
  readonly where?: Query['where']
  readonly limit: number
}

export interface StoredState {
  readonly meta: ReplicaMeta
  /** In the order of their positions. */
  readonly outbox: readonly StoredEntry[]
  readonly states: readonly RowState[]
  readonly subscriptions: readonly SubscriptionRecord[]
}

/** What the replica knows of itself. All null in a new one. */
export interface ReplicaMeta {
  /** Identity of this replica at the server; a new one after `device_cloned`. */
  readonly fingerprint: string | null
  readonly deviceId: string | null
  /** The one principal and organization this replica belongs to, fixed by the first welcome. */
  readonly principal: { readonly kind: 'user' | 'agent'; readonly id: string } | null
  readonly organizationId: string | null
  readonly cursor: Cursor | null
  /** Highest clientSeq given out. */
  readonly clientSeq: number
  /**
   * Highest clientSeq of the time before counters were given anew, because a backup was restored; 0: they never were.
   */
  readonly formerSeq: number
  /**
   * Highest clientSeq that the server had taken when channels began to be loaded anew: loaded, they have these writes;
   * 0: they never were.
   */
  readonly loadedSeq: number
  /** Of the server that was last met. */
  readonly schemaHash: string | null
  /** Rows have come without columns that are known here: that server did not have them yet. */
  readonly lacksColumns: boolean
  /** How far the server's clock was ahead of this device's when they last met, in milliseconds; negative: behind. */
  readonly clockAheadMs: number
  /** Number of the last write of each other tab that writes through this replica. */
  readonly callers: Readonly<Record<string, number>> | null
}

export const emptyMeta: ReplicaMeta = {
  fingerprint: null,
  deviceId: null,
  principal: null,
  organizationId: null,
  cursor: null,
  clientSeq: 0,
  formerSeq: 0,
  loadedSeq: 0,
  schemaHash: null,
  lacksColumns: false,
  clockAheadMs: 0,
  callers: null,
}

/**
 * One write of this replica, from the call until nothing of it is left to tell.
 * - `local`: not sent yet; no clientSeq
 * - `syncing`: sent at least once under its clientSeq; unchanged from now on
 * - `acknowledged`: has an outcome; the replica has not yet seen the commit come back
 * - `conflict`: its losing values lie in a conflict that is still open
 * - `rejected`: refused; parked until retried or discarded
 * A write that is synced has no entry any more.
 */
export interface OutboxEntry {
  /** Order of the calls on this replica: 1, 2, 3 … */
  readonly position: number
  readonly status: 'local' | 'syncing' | 'acknowledged' | 'conflict' | 'rejected'
  /** As it is or will be sent; `clientSeq` is 0 until it is first sent. */
  readonly mutation: Omit<Mutation, 'clientSeq'> & { readonly clientSeq: number }
  readonly outcome: Outcome | null
  /** The batch that carried its effect was applied. */
  readonly settled: boolean
  /**
   * Of a write that goes again because the server was restored from a backup without it: the rows that were missing
   * here when it was refused; null while it has not been.
   */
  readonly awaits?: readonly { readonly table: string; readonly rowId: string }[] | null
  /** Id under which this write went before: before a retry, or before the device took a new identity. */
  readonly formerId?: string
  /** Of a delete or a restore: the rows that go or come back with its own. */
  readonly takes?: readonly { readonly table: string; readonly rowId: string }[]
}

/**
 * A write that has ended: the server has it and has shown it. Kept for a while, to be sent again if the server's
 * database is restored from a backup that lacks it. To a store it is one more entry of the outbox.
 */
export interface SyncedEntry {
  readonly position: number
  readonly status: 'synced'
  readonly mutation: OutboxEntry['mutation']
  readonly outcome: Outcome
  readonly settled: true
  /** Milliseconds since 1970, by this device's clock. */
  readonly endedAt: number
}

export type StoredEntry = OutboxEntry | SyncedEntry

/** A row that differs from what the server says, because of pending writes. No state: the row is as the server says. */
export interface RowState {
  readonly table: string
  readonly rowId: string
  /** The row as the server last sent it; null: the server has none that this replica may see. */
  readonly serverImage: Row | null
}

export interface SubscriptionRecord {
  readonly subscription: Subscription
  /** `held`: the replica has its full state as of the cursor. `staging`: pages are coming in. */
  readonly state: 'new' | 'staging' | 'held'
  /** While staging: log position of the first page, and the token of the next page (null: all pages are staged). */
  readonly from: number | null
  readonly next: string | null
}

/** Applied in the order of the fields. */
export interface StoreCommit {
  /** Adds rows to the staging area of a subscription. Big: taken as packed blocks. */
  readonly stage?: { readonly subscription: string; readonly blocks: readonly PackedBlock[] }
  /** Drops staging areas. */
  readonly unstage?: readonly string[]
  /** Moves staged rows into the tables. */
  readonly swaps?: readonly Swap[]
  /** Tables emptied. */
  readonly resets?: readonly string[]
  /** Channels whose rows go, together with rows of `via` tables whose parent is no longer held. */
  readonly purges?: readonly Purge[]
  /** What hangs under rows that this commit brings, and is older than they are. */
  readonly outdated?: readonly Outdated[]
  /**
   * Rows as packed blocks, straight from a batch (no row in them has a state). Columns a block lacks keep their value.
   */
  readonly blocks?: readonly PackedBlock[]
  /** Rows written one by one. Columns an upsert lacks keep their value, or are null in a new row. */
  readonly rows?: readonly {
    readonly table: string
    readonly upserts: readonly Row[]
    readonly deletes: readonly string[]
  }[]
  /** Deletes are ids of mutations. */
  readonly outbox?: { readonly puts: readonly StoredEntry[]; readonly deletes: readonly string[] }
  readonly states?: {
    readonly puts: readonly RowState[]
    readonly deletes: readonly { readonly table: string; readonly rowId: string }[]
  }
  readonly subscriptions?: { readonly puts: readonly SubscriptionRecord[]; readonly deletes: readonly string[] }
  readonly meta?: Partial<ReplicaMeta>
}

/**
 * All staged rows of the subscription become visible; what it held before, or what hangs under a staged row
 * (`Outdated`), and is not staged goes, unless one of `others` holds it too. What it held: the rows of its channel and
 * of the sub-channels under it, in the tables it names (see `holding.ts`). Tables of direction `up` are left alone.
 * Rows with a state are treated as any other: the commit that swaps also puts what is to be shown of them into `rows`.
 */
export interface Swap {
  readonly subscription: Subscription
  readonly others: readonly Subscription[]
}

/**
 * Rows whose `channel` is this go, unless one of `keep` (subscriptions that remain) holds them too; so do the rows of
 * sub-channels under it, and all rows of `via` tables whose parent is no longer here and that none of `keep` can hold.
 * Nobody follows a sub-channel by name: when one is purged, the server has said that no channel carries it any more,
 * which the rows that are here cannot know yet. So `keep` keeps nothing of it.
 */
export interface Purge {
  readonly channel: string
  /** Only these tables; absent: all. Their `via` children go with them in any case. */
  readonly tables?: readonly string[]
  readonly keep: readonly Subscription[]
}

/**
 * While some subscriptions are being fetched anew, their old rows stay, and nobody says what became of them. When a row
 * that others hang under then comes to a subscription that is complete, so do all that hang under it: what hung under
 * it before goes, unless one of `held` held it already. Otherwise it would pass for a row of that subscription, and
 * stay for ever.
 */
export interface Outdated {
  /** SQL name of a table that others hang under. */
  readonly table: string
  readonly ids: readonly string[]
  /** The subscriptions that are complete. Rows of tables that none of them names stay. */
  readonly held: readonly Subscription[]
}
