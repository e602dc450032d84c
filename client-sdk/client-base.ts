import type { PatchOf } from '../protocol/rows/row-type.ts'
import type { Schema } from '../protocol/rows/table.ts'
import type { CallAction } from './call-action.ts'
import type { Conflict } from './conflict/conflict.ts'
import type { ResolutionChoice } from './conflict/conflicts.ts'
import type { ConnectionStatus } from './connection/connection.ts'
import type { ExportOptions } from './export/export.ts'
import type { SearchHits, SearchRequest } from './search/search.ts'
import type { PresenceRoom } from './presence/presence.ts'
import type { SearchableName, TableName, TableNamed } from './query/schema-names.ts'
import type { FilterOf, QueryOf } from './query/typed-query.ts'
import type { shippedSchema } from './schema.generated.ts'
import type { FollowedChannel } from './subscription/followed-channel.ts'
import type { FollowState } from './subscription/following.ts'
import type { FollowOptions, Target } from './subscription/subscription.ts'
import type { Tracked } from './tables/tracked-row.ts'
import type { TransactionTable } from './tables/transaction.ts'
import type { Write } from './tables/write.ts'
import type { Writes } from './tables/writes.ts'
import type { Verification } from './verify/verify.ts'

/** State of the whole client. */
export interface ClientStatus extends ConnectionStatus {
  /** Writes that the server has not finally answered and shown back. */
  readonly pending: number
  /** Open conflicts that this device caused. */
  readonly conflicts: number
  readonly device: { readonly id: string | null; readonly name: string }
  readonly channels: readonly { readonly channel: string; readonly state: FollowState }[]
}

/** How a scope is followed: which tables, which rows of them, and whether with vectors. */
export type SubscribeOptions<S extends Schema = typeof shippedSchema> = FollowOptions<
  TableName<S>,
  { readonly [N in TableName<S>]?: FilterOf<TableNamed<S, N>> }
>

/** Values for a row of any table: which one, only the conflict says. */
type AnyPatch<S extends Schema> = {
  readonly [K in keyof S]: keyof PatchOf<S[K]> extends never ? never : PatchOf<S[K]>
}[keyof S]

/** Conflicts that this replica can see: writes that met another write on the same column. */
export interface ConflictsOf<S extends Schema> {
  find(query?: QueryOf<TableNamed<S, 'syncConflicts'>>): Promise<readonly Conflict[]>
  /** Open conflicts, now and whenever they change. */
  live(notify: (open: readonly Conflict[]) => void): () => void
  live(): AsyncIterable<readonly Conflict[]>
  /** Settles a conflict, offline too: the row changes at once here, everywhere when the server has it. */
  resolve(id: string, choice: ResolutionChoice<AnyPatch<S>>): Promise<Write>
}

/** Members of the client that are not tables: no table may have such a name. */
export interface ClientBase<S extends Schema> {
  /**
   * Follows a channel, now and after restarts. Resolves when that is durable here; `ready` of the answer resolves when
   * the rows are. Throws `invalid_value`, `unknown_table`, `bad_filter`, `forbidden` for what is not one's own,
   * `closed`, and where the target is one's own, why the server refuses this client.
   */
  subscribe(target: Target, options?: SubscribeOptions<S>): Promise<FollowedChannel>
  /**
   * Handles to all that this replica follows, from earlier runs too. To `unsubscribe` one ends the subscription for
   * everybody who follows it.
   */
  followed(): readonly FollowedChannel[]
  /**
   * Collects writes and applies them in one step: all or nothing, here and everywhere. Resolves when they are durable
   * here. Nothing is applied if `work` throws, or when a write cannot be right: then it throws as that write by itself.
   */
  transaction(
    work: (tx: { readonly [K in keyof S]: TransactionTable<S[K]> }) => Promise<void>,
  ): Promise<readonly Write[]>
  readonly conflicts: ConflictsOf<S>
  /** Writes that have not ended, refused ones included; to retry or discard these. */
  readonly writes: Writes
  /** As of now: connection, staleness, what is pending. `onStatus` tells when it differs. */
  readonly status: ClientStatus
  /** Calls back whenever `status` may differ. Returns the function that stops it. */
  onStatus(listener: (status: ClientStatus) => void): () => void
  /**
   * Resolves when no write of this device is waiting for the server any more; refused and conflicting ones do not wait.
   * Rejects when `signal` aborts, when the server refuses this client for good (`status.connection` is `stopped`), and
   * with `closed` when the client is closed.
   */
  synced(options?: { readonly signal?: AbortSignal }): Promise<void>
  /**
   * Compares this replica with the server, and fetches the channels that differ again; resolves when they are here.
   * Needs a connection; a repair goes on after one that is lost meanwhile. Rejects when `signal` aborts, and with
   * `closed`.
   */
  verify(options?: { readonly signal?: AbortSignal }): Promise<Verification>
  /** Searches a table that has an embedding; `tide.<table>.search` does the same. */
  search<N extends SearchableName<S>>(
    table: N,
    request: SearchRequest<FilterOf<TableNamed<S, N>>>,
  ): Promise<SearchHits<Tracked<TableNamed<S, N>>>>
  /**
   * Runs an action on the server and resolves with its answer. Throws `offline` without a connection, `timeout`,
   * `not_found` for an unknown action, and the refusals of the action.
   */
  readonly call: CallAction
  /**
   * Who is in a channel that this client follows, and what they show. Throws `offline` for one's own target before the
   * first connection.
   */
  presence(target: Target): PresenceRoom
  /**
   * Read-only SQL on the replica, deleted rows included; PGlite replicas only. Throws `sql_unavailable` on others,
   * `sql_failed` for a wrong query.
   */
  sql(text: TemplateStringsArray, ...values: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>
  /**
   * All that is on this replica, what was not sent yet included, as one file: JSON lines (`ExportLine`) in UTF-8. It is
   * read as the stream is, a page at a time, and is the replica of the moment at which it ends. It holds no token.
   * Rejects with `closed`; the stream fails with it when the client is closed meanwhile.
   */
  export(options?: ExportOptions): Promise<ReadableStream<Uint8Array<ArrayBuffer>>>
  /** Ends the connection and stays offline until `connect`. */
  disconnect(): void
  /**
   * Connects, or tries again at once: after `disconnect`, between two tries, and when the server had refused this
   * client (`stopped`). What comes of it is told by `status`.
   */
  connect(): void
  /**
   * Ends the connection and closes the replica. What is not synced is kept and sent next time. Live queries end;
   * whoever waits for the server is told by `closed`.
   */
  close(): Promise<void>
}
