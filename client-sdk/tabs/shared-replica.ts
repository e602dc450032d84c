import { Listeners } from '../../lib/listeners.ts'
import { invariant } from '../../lib/invariant.ts'
import { TideError } from '../../protocol/error.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import type { ConnectionStatus } from '../connection/connection.ts'
import type { ConnectionView } from '../connection/connection-view.ts'
import type { ReplicaChange, WriteChange, WriteEnd } from '../replica/replica-change.ts'
import type { ReplicaView } from '../replica/replica-view.ts'
import type { Tables } from '../store/holding.ts'
import type { ReplicaReader } from '../store/store.ts'
import { LeaderGone, type Backend, type EngineEvent } from './backend.ts'
import { Leader } from './leader.ts'

export interface SharedReplicaParts {
  /** Of this tab. */
  readonly id: string
  readonly tables: Tables
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/**
 * One replica and connection as a client uses them, wherever they are at the moment. When the tab that has them goes
 * away, its calls wait for the next one and are asked again there; the client is told what changed in between as one
 * change.
 */
export class SharedReplica {
  readonly replica: ReplicaView
  readonly connection: ConnectionView
  readonly #id: string
  readonly #tables: Tables
  readonly #now: () => number
  readonly #changes = new Listeners<ReplicaChange>()
  readonly #statuses = new Listeners<ConnectionStatus>()
  readonly #presents = new Listeners<DownOf<'present'>>()
  readonly #refusals = new Listeners<{ readonly id: string; readonly error: TideError | null }>()
  #backend: Backend | null = null
  #next = Promise.withResolvers<void>()
  #closed: TideError | null = null
  /** Since when no tab has the replica: the tab that had it is gone. Milliseconds since 1970. */
  #lostAt: number | null = null
  #writes = 0
  /** An error of this tab alone. */
  #error: TideError | undefined

  constructor({ id, tables, now }: SharedReplicaParts) {
    this.#id = id
    this.#tables = tables
    this.#now = now
    this.replica = this.#replicaView()
    this.connection = this.#connectionView()
    this.#next.promise.catch(() => undefined)
  }

  /** Resolves when there is a replica to work with. */
  get opened(): Promise<void> {
    return this.#backend === null ? this.#next.promise : Promise.resolve()
  }

  get backend(): Backend | null {
    return this.#backend
  }

  /** The replica is there from now on. */
  async use(backend: Backend): Promise<void> {
    const before = this.#backend
    this.#backend = backend
    this.#error = undefined
    this.#lostAt = null
    this.#next.resolve()
    if (before === null) return
    const change = await this.#between(before, backend)
    this.#changes.tell(change)
    for (const [id, error] of backend.refusals) this.#refusals.tell({ id, error })
    this.#statuses.tell(backend.status)
  }

  /**
   * The tab that had it is gone: calls wait for the next. What is known of the replica stays as it was; the connection
   * of that tab is over.
   */
  await(): void {
    this.#next = Promise.withResolvers<void>()
    this.#next.promise.catch(() => undefined)
    if (this.#backend === null) return
    this.#lostAt ??= this.#now()
    this.#statuses.tell(this.connection.status)
  }

  take(event: EngineEvent): void {
    switch (event.kind) {
      case 'change':
        return this.#changes.tell(event.change)
      case 'status':
        return this.#statuses.tell(this.connection.status)
      case 'present':
        return this.#presents.tell(event.message)
      case 'refused':
        return this.#refusals.tell(event)
    }
  }

  sql(text: string, params: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]> {
    return this.#call('sql', [text, params]) as Promise<readonly Readonly<Record<string, unknown>>[]>
  }

  /** Nobody gets an answer any more. */
  end(error: TideError): void {
    if (this.#closed !== null) return
    this.#closed = error
    this.#next.reject(error)
    if (this.#backend === null) return
    this.#lostAt ??= this.#now()
    this.#statuses.tell(this.connection.status)
  }

  /** Asks until a leader answers: one that goes away meanwhile has maybe done it, which only writes need to know. */
  async #call(method: string, args: readonly unknown[], asking: () => void = () => undefined): Promise<unknown> {
    for (;;) {
      await this.#next.promise
      if (this.#closed !== null) throw this.#closed
      const backend = this.#backend
      invariant(backend !== null, 'a replica was opened before it is asked')
      try {
        asking()
        return await backend.call(method, args)
      } catch (error) {
        if (error instanceof DOMException)
          throw new TideError('invalid_value', `A value cannot be handed to another tab: ${error.message}.`)
        if (!(error instanceof LeaderGone)) throw error
      }
    }
  }

  /** One that a leader carried out before it went away finds nothing at the next: it is done then. */
  async #discard(id: string): Promise<readonly string[]> {
    let asked = 0
    const count = (): void => {
      asked += 1
    }
    try {
      return (await this.#call('discard', [id], count)) as readonly string[]
    } catch (error) {
      if (asked > 1 && error instanceof TideError && error.code === 'not_found') return [id]
      throw error
    }
  }

  /** What a client must be told that has followed one backend and goes on with another. */
  async #between(before: Backend, after: Backend): Promise<ReplicaChange> {
    const pending = new Set(after.state.writes().map(({ mutation }) => mutation.id))
    const replacements = new Map(after.state.writes().map(({ formerId, mutation }) => [formerId, mutation.id]))
    const gone = before.state.writes().flatMap(({ mutation: { id } }) => (pending.has(id) ? [] : [id]))
    const ends = gone.length === 0 ? [] : await this.#endsOf(gone, after)
    const writes: WriteChange[] = [
      ...gone.map((id, index): WriteChange => {
        const replacedBy = replacements.get(id)
        return { id, entry: null, end: ends[index] ?? 'unknown', ...(replacedBy === undefined ? {} : { replacedBy }) }
      }),
      ...after.state.writes().map((entry): WriteChange => ({ id: entry.mutation.id, entry })),
    ]
    const subscriptions = [...before.state.subscriptions, ...after.state.subscriptions]
    return {
      tables: new Map([...this.#tables.keys()].map((name) => [name, { all: true as const }])),
      writes,
      states: new Map(),
      subscriptions: new Set(subscriptions.map(({ subscription }) => subscription.id)),
      left: new Set(),
    }
  }

  async #endsOf(ids: readonly string[], backend: Backend): Promise<readonly WriteEnd[]> {
    try {
      return (await backend.call('endsOf', [ids])) as readonly WriteEnd[]
    } catch {
      // It is gone again, and the next one is asked only for what this one still had.
      return []
    }
  }

  /** Only a tab that has the replica knows of a connection. */
  #status(): ConnectionStatus {
    const { status } = this.#state()
    const error = this.#closed ?? this.#error
    if (this.#lostAt === null) return error === undefined || status.error !== undefined ? status : { ...status, error }
    const lost = { staleSince: status.staleSince ?? this.#lostAt, ...(error === undefined ? {} : { error }) }
    if (this.#closed !== null) return { connection: this.#closed.code === 'closed' ? 'offline' : 'stopped', ...lost }
    return { ...status, ...lost, connection: status.connection === 'live' ? 'connecting' : status.connection }
  }

  #state(): Backend {
    const backend = this.#backend
    invariant(backend !== null, 'a replica was opened before it is used')
    return backend
  }

  #replicaView(): ReplicaView {
    const call = <T>(method: string, ...args: readonly unknown[]): Promise<T> => this.#call(method, args) as Promise<T>
    const reader: ReplicaReader = {
      rows: (table, ids) => call('rows', table, ids),
      query: (table, query) => call('query', table, query),
      nearest: (table, request) => call('nearest', table, request),
    }
    const state = (): Backend['state'] => this.#state().state
    return {
      get meta() {
        return state().meta
      },
      now: () => state().now(),
      get subscriptions() {
        return state().subscriptions
      },
      get pendingCount() {
        return state().pendingCount
      },
      get openConflicts() {
        return state().openConflicts
      },
      writes: () => state().writes(),
      syncOf: (table, rowId) => state().syncOf(table, rowId),
      onChange: (listener) => this.#changes.add(listener),
      // In the tab that has it, between two steps. From another tab one answer comes between two steps as well.
      read: (run) => (this.#backend instanceof Leader ? this.#backend.local.replica.read(run) : run(reader)),
      write: (drafts, options) => {
        this.#writes += 1
        // What dies with this tab needs no number.
        const caller = this.#backend instanceof Leader ? {} : { caller: { id: this.#id, call: this.#writes } }
        return call('write', drafts, { ...options, ...caller })
      },
      addSubscription: (subscription) => call('addSubscription', subscription),
      removeSubscription: (id) => call('removeSubscription', id),
      refetch: (id) => call('refetch', id),
      serverRows: async (subscription, seq, tables, visit) => {
        const found = await call<readonly [string, string, number][] | null>('serverRows', subscription, seq, tables)
        for (const [table, id, version] of found ?? []) visit(table, { id, version })
        return found !== null
      },
      retry: (id) => call('retry', id),
      discard: (id) => this.#discard(id),
    }
  }

  #connectionView(): ConnectionView {
    const call = <T>(method: string, ...args: readonly unknown[]): Promise<T> => this.#call(method, args) as Promise<T>
    const report = (error: unknown): void => {
      this.#error = error instanceof TideError ? error : new TideError('internal', String(error))
      this.#statuses.tell(this.connection.status)
    }
    const tellOff = (method: string, ...args: readonly unknown[]): void => {
      call(method, ...args).catch(report)
    }
    const status = (): ConnectionStatus => this.#status()
    const refusals = (): Backend['refusals'] => this.#state().refusals
    return {
      get status() {
        return status()
      },
      get refusals() {
        return { all: refusals() }
      },
      connect: () => tellOff('connect'),
      disconnect: () => tellOff('disconnect'),
      request: (request) => call('request', request),
      search: (request) => call('search', request),
      verify: (subscription) => call('verify', subscription),
      sendPresence: (channel, presence) => tellOff('sendPresence', channel, presence),
      onPresent: (listener) => this.#presents.add(listener),
      onStatus: (listener) => this.#statuses.add(listener),
      onRefused: (listener) => this.#refusals.add(({ id, error }) => listener(id, error)),
      reportError: report,
    }
  }
}
