/**
 * The client: one replica, one connection, and what users type on top of them. This is the only place of the SDK that
 * constructs; every other file receives what it needs.
 *
 *   tide.tasks.update() ─▶ Replica ─▶ ReplicaStore        (at once, offline too)
 *                             │ ▲
 *                     outbox  ▼ │ batches, outcomes
 *                          Connection ◀──▶ server
 *
 * Every atomic step of the replica is told as one `ReplicaChange`; live queries, writes and subscriptions follow those.
 */
import type { CallAction } from './call-action.ts'
import type { ClientBase, ClientStatus } from './client-base.ts'
import { createUuidSource } from '../lib/uuid.ts'
import { systemClock, type CancelTimer } from '../lib/clock.ts'
import { systemRandom } from '../lib/random.ts'
import { Listeners } from '../lib/listeners.ts'
import { stayAlive } from '../lib/stay-alive.ts'
import { Waits } from '../lib/waits.ts'
import { TideError } from '../protocol/error.ts'
import type { Json, Patch, Row } from '../protocol/rows/row.ts'
import type { Schema, TableDescriptor } from '../protocol/rows/table.ts'
import { Conflicts } from './conflict/conflicts.ts'
import { stopError, type ConnectionView } from './connection/connection-view.ts'
import { createSocketTransport } from './connection/socket-transport.ts'
import { checkOptions, type ConnectOptions } from './connect-options.ts'
import { exportReplica, type ExportOptions } from './export/export.ts'
import type { SearchHits, SearchRequest } from './search/search.ts'
import { Searcher } from './search/searcher.ts'
import { Presence, type PresenceRoom } from './presence/presence.ts'
import type { HasVector } from './query/schema-names.ts'
import type { FilterOf } from './query/typed-query.ts'
import { checkValues, idFromValues } from './replica/check-draft.ts'
import type { ReplicaView } from './replica/replica-view.ts'
import { shippedSchema } from './schema.generated.ts'
import { openStore } from './store/open-store.ts'
import type { ReplicaStore } from './store/store.ts'
import { Channels } from './subscription/channels.ts'
import type { FollowedChannel } from './subscription/followed-channel.ts'
import type { FollowOptions, Target } from './subscription/subscription.ts'
import { canShare, openBrowserTabs } from './tabs/browser-tabs.ts'
import { openEngine, type Engine, type EngineParts, type SqlRows } from './tabs/engine.ts'
import { openSharedEngine } from './tabs/shared-engine.ts'
import type { Streamable } from './tables/message-stream.ts'
import { TableHandle, type Table, type WriteRequest } from './tables/table.ts'
import type { Tracked, TrackedRow } from './tables/tracked-row.ts'
import { Requested, TransactionRecorder, type TransactionTable } from './tables/transaction.ts'
import { WriteTracker, type Write } from './tables/write.ts'
import { Writes } from './tables/writes.ts'
import { verifyReplica, type Verification } from './verify/verify.ts'

interface Searchable<T extends TableDescriptor> {
  search(request: SearchRequest<FilterOf<T>>): Promise<SearchHits<Tracked<T>>>
}

/** A connected client of schema `S`: its base, and one member per table. */
export type ClientOf<S extends Schema> = ClientBase<S> & {
  readonly [K in keyof S]: (HasVector<S[K]> extends true ? Table<S[K]> & Searchable<S[K]> : Table<S[K]>) &
    (K extends 'messages' ? Streamable<S[K]> : unknown)
}

/** A client of the shipped tables. */
export type Client = ClientOf<typeof shippedSchema>

/**
 * Opens the local replica and starts to connect. Resolves when the replica is open: no network is needed. Throws
 * `TideError`: `config_invalid`, `replica_locked`.
 */
export async function connect<const S extends Schema = typeof shippedSchema>(
  options: ConnectOptions<S>,
): Promise<ClientOf<S>> {
  const checked = checkOptions(options)
  const schema: Schema = options.schema ?? shippedSchema
  const { replica } = options
  const parts = {
    schema,
    transport: createSocketTransport(checked.url),
    clock: systemClock,
    random: systemRandom,
    token: checked.token,
    device: checked.device,
    tail: checked.tail,
    outbox: checked.outbox,
    stayAlive,
  }
  const open = (): Promise<ReplicaStore> => openStore(replica, schema)
  // In browsers a replica is one for all tabs.
  const engine =
    replica.kind === 'pglite' && 'name' in replica && canShare()
      ? await openSharedEngine(openBrowserTabs(replica.name), parts, open)
      : await openEngine(parts, await open())
  return clientOf<S>(parts, engine)
}

/** Everything a client is made of; `connect` fills it with the real world, a simulation with its own. */
export interface ClientParts extends EngineParts {
  readonly store: ReplicaStore
}

export async function createClient<S extends Schema>(parts: ClientParts): Promise<ClientOf<S>> {
  return clientOf(parts, await openEngine(parts, parts.store))
}

/** A client of an engine that is open; begins to connect. */
export function clientOf<S extends Schema>(parts: EngineParts, engine: Engine): ClientOf<S> {
  const { schema } = parts
  const client = new TideClient(parts, engine)
  const handles = Object.fromEntries(Object.entries(schema).map(([name, table]) => [name, client.handle(table)]))
  const taken = Object.keys(schema).find((name) => name in client)
  if (taken !== undefined) {
    throw new TideError('config_invalid', `The schema has a table "${taken}", which is also a member of the client.`, {
      remedy: 'Rename the table.',
    })
  }
  engine.start()
  // The handles are untyped inside; their types follow from the same schema that they were made from.
  return Object.assign(client, handles) as unknown as ClientOf<S>
}

/** Untyped inside: what its types are, `ClientOf` says. */
class TideClient implements Omit<ClientBase<Schema>, 'conflicts' | 'search' | 'subscribe'> {
  readonly conflicts: Conflicts<Write>
  readonly writes: Writes
  readonly #parts: EngineParts
  readonly #engine: Engine
  readonly #replica: ReplicaView
  readonly #connection: ConnectionView
  readonly #tracker: WriteTracker
  readonly #presence: Presence
  readonly #channels: Channels
  readonly #searcher: Searcher
  readonly #newId: () => string
  #letGo: CancelTimer | undefined
  readonly #statusListeners = new Listeners<ClientStatus>()
  readonly #closeListeners = new Listeners<null>()
  readonly #waits = new Waits()
  #closing: Promise<void> | null = null

  constructor(parts: EngineParts, engine: Engine) {
    const { replica } = engine
    this.#parts = parts
    this.#engine = engine
    this.#replica = replica
    this.#newId = createUuidSource({ now: () => replica.now() }, parts.random)
    this.#connection = engine.connection
    this.#tracker = new WriteTracker(() => stopError(engine.connection.status))
    this.#presence = new Presence({ send: (channel, state) => this.#connection.sendPresence(channel, state) })
    this.#channels = new Channels({ schema: parts.schema, replica, connection: this.#connection })
    this.#searcher = new Searcher({ ...parts, replica, connection: this.#connection })
    this.writes = new Writes({
      writes: () => replica.writes(),
      retry: (id) => this.#retry(id),
      discard: async (id) => void (await replica.discard(id)),
    })
    this.conflicts = new Conflicts({
      rows: this.handle(tableOf(parts.schema, 'syncConflicts')),
      check: (name, values) => checkValues(this.#searcher.tableByName(name), values),
      resolve: async (id, set) =>
        this.#one({ table: 'sync_conflicts', rowId: id, op: 'resolve', set }).then(({ write }) => write),
    })
    replica.onChange((change) => {
      this.#tracker.take(change)
      if (change.subscriptions.size > 0)
        this.#presence.followed(new Set(replica.subscriptions.map(({ subscription }) => subscription.channel)))
      this.#tellStatus()
    })
    this.#connection.onPresent((message) => this.#presence.take(message))
    this.#connection.onStatus((status) => {
      if (stopError(status) !== null) this.#tracker.interrupt()
      if (status.connection === 'live') this.#presence.connected()
      else this.#presence.disconnected()
      this.#stayWhile(status.connection === 'connecting')
      this.#tellStatus()
    })
    this.#channels.onState(() => this.#tellStatus())
  }

  handle(table: TableDescriptor): TableHandle {
    return new TableHandle(table, {
      clock: this.#parts.clock,
      write: (request) => this.#one(request),
      row: async (name, id) => (await this.#replica.read((store) => store.rows(name, [id])))[0],
      query: (name, query, use) => this.#replica.read(async (store) => use(await store.query(name, query))),
      syncOf: (name, id) => this.#replica.syncOf(name, id),
      onChange: (listener) => this.#replica.onChange(listener),
      onClose: (listener) => this.#closeListeners.add(listener),
      reportError: (error) => this.#connection.reportError(error),
      search: (request) => this.#searcher.search(table, request),
    })
  }

  subscribe(target: Target, options: FollowOptions = {}): Promise<FollowedChannel> {
    return this.#channels.subscribe(target, options)
  }

  followed(): readonly FollowedChannel[] {
    return this.#channels.all
  }

  async transaction(
    work: (tx: Readonly<Record<string, TransactionTable<TableDescriptor>>>) => Promise<void>,
  ): Promise<readonly Write[]> {
    const requested = new Requested()
    const idOf = (table: TableDescriptor, values: Patch): string =>
      idFromValues(table, values, this.#replica.meta.organizationId) ?? this.#newId()
    const recorders = Object.entries(this.#parts.schema).map(
      ([name, table]) => [name, new TransactionRecorder(table, requested, idOf)] as const,
    )
    try {
      await work(Object.fromEntries(recorders))
    } finally {
      requested.end()
    }
    const requests = requested.end()
    if (requests.length === 0) return []
    return (await this.#write(requests, true)).map(({ write }) => write)
  }

  get status(): ClientStatus {
    return {
      ...this.#connection.status,
      pending: this.#replica.pendingCount,
      conflicts: this.#replica.openConflicts.length,
      device: { id: this.#replica.meta.deviceId, name: this.#parts.device.name },
      channels: this.#channels.states,
    }
  }

  onStatus(listener: (status: ClientStatus) => void): () => void {
    return this.#statusListeners.add(listener)
  }

  async synced(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const isSynced = (): boolean => {
      const stopped = stopError(this.#connection.status)
      if (this.#replica.pendingCount === 0) return true
      if (stopped !== null) throw stopped
      return false
    }
    await this.#waits.until((look) => this.onStatus(look), isSynced, options.signal)
  }

  verify({ signal }: { readonly signal?: AbortSignal } = {}): Promise<Verification> {
    const [replica, connection] = [this.#replica, this.#connection]
    const until = (isThere: () => boolean): Promise<void> =>
      this.#waits.until((look) => replica.onChange(look), isThere, signal)
    return verifyReplica({ schema: this.#parts.schema, replica, connection, until })
  }

  async search(name: string, request: SearchRequest): Promise<SearchHits<TrackedRow>> {
    return this.handle(this.#searcher.tableByName(name)).search(request)
  }

  // The server's answer to a shipped action has the type that `Actions` says; tests call each of them.
  readonly call = (async (action: string, input: Json): Promise<Json> => {
    const { result } = await this.#connection.request({ type: 'call', id: this.#newId(), action, input })
    return result
  }) as CallAction

  presence(target: Target): PresenceRoom {
    return this.#presence.room(this.#channels.channelOf(target))
  }

  async sql(text: TemplateStringsArray, ...values: readonly unknown[]): Promise<SqlRows> {
    const query = text.reduce((before, part, index) => `${before}$${index}${part}`)
    return this.#engine.sql(query, values)
  }

  async export(options: ExportOptions = {}): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const { schema, device } = this.#parts
    // Whether it is open, the replica says.
    await this.#replica.read(async () => undefined)
    return exportReplica({ schema, replica: this.#replica, deviceName: device.name }, options)
  }

  connect(): void {
    this.#connection.connect()
  }

  disconnect(): void {
    this.#connection.disconnect()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const closed = new TideError('closed', 'The client was closed.', {
      remedy: 'Open the replica again: what was not sent is kept.',
    })
    this.#waits.end(closed)
    this.#channels.close(closed)
    this.#closeListeners.tell(null)
    await this.#engine.close()
    this.#tracker.close()
  }

  async #one(request: WriteRequest): Promise<{ readonly write: Write; readonly row: Row | null }> {
    const [made] = await this.#write([request], false)
    if (made === undefined) throw new TideError('internal', 'A write left no trace.')
    return made
  }

  async #write(
    requests: readonly WriteRequest[],
    group: boolean,
  ): Promise<readonly { readonly write: Write; readonly row: Row | null }[]> {
    const drafts = requests.map((request) => ({ ...request, rowId: request.rowId ?? this.#idFor(request) }))
    const written = await this.#replica.write(drafts, { group })
    return written.map((entry) => ({ write: this.#tracker.follow(entry), row: entry.row }))
  }

  async #retry(id: string): Promise<Write> {
    const [again] = await this.#replica.retry(id)
    if (again === undefined) throw new TideError('internal', `The retry of write ${id} made no write.`)
    return this.#tracker.follow(again)
  }

  /** Made here, so that a write that another tab has to be asked for twice is the same. */
  #idFor({ table }: WriteRequest): string | null {
    return this.#searcher.tableByName(table).naturalKey === undefined ? this.#newId() : null
  }

  #stayWhile(isNeeded: boolean): void {
    if (!isNeeded) this.#letGo?.()
    this.#letGo = isNeeded ? (this.#letGo ?? this.#parts.stayAlive?.()) : undefined
  }

  #tellStatus(): void {
    if (!this.#statusListeners.isEmpty) this.#statusListeners.tell(this.status)
  }
}

function tableOf(schema: Schema, property: string): TableDescriptor {
  const table = schema[property]
  if (table === undefined)
    throw new TideError('config_invalid', `The schema has no table "${property}".`, {
      remedy: 'Generate it with `npx tidewire generate`.',
    })
  return table
}
