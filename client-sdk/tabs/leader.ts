import { TideError } from '../../protocol/error.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import type { Query } from '../../protocol/rows/filter.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { conflictTable } from '../conflict/conflict.ts'
import type { Connection, ConnectionStatus } from '../connection/connection.ts'
import type { Replica, WriteOptions } from '../replica/replica.ts'
import type { ReplicaState } from '../replica/replica-view.ts'
import type { NearestRequest, ReplicaStore } from '../store/store.ts'
import type { Backend, EngineEvent } from './backend.ts'
import { readSql } from './engine.ts'
import { ShownByTabs, type Shown } from './shown-by-tabs.ts'
import type { Answer, TabMessage } from './tab-messages.ts'
import { refusalOf, toWireStatus } from './wire-status.ts'

export interface LeaderParts {
  readonly id: string
  readonly replica: Replica
  readonly connection: Connection
  readonly store: ReplicaStore
  /** What the tables are, as text: tabs of another version cannot follow. */
  readonly schema: string
  readonly post: (message: TabMessage) => void
  /** Resolves when another tab is gone, however it went. */
  readonly ended: (tab: string) => Promise<void>
  /** What this tab's own client is told. */
  readonly tell: (event: EngineEvent) => void
}

type SendPresence = Connection['sendPresence']
type Calls = Readonly<Record<string, (...args: never[]) => Promise<unknown>>>

/** The tab that has the replica: does what the others ask, and tells them every step, in order. */
export class Leader implements Backend {
  readonly #parts: LeaderParts
  readonly #joined = new Set<string>()
  readonly #stops: readonly (() => void)[]
  readonly #calls: Calls
  readonly #shown = new ShownByTabs()
  #isClosed = false

  constructor(parts: LeaderParts) {
    this.#parts = parts
    this.#calls = callsOf(parts)
    const { replica, connection, id: from, tell } = parts
    this.#stops = [
      replica.onStep(({ commit, change }) => {
        tell({ kind: 'change', change })
        if (this.#joined.size === 0) return
        const { outbox, states, subscriptions, meta } = commit
        const records = {
          ...(outbox === undefined ? {} : { outbox }),
          ...(states === undefined ? {} : { states }),
          ...(subscriptions === undefined ? {} : { subscriptions }),
          ...(meta === undefined ? {} : { meta }),
        }
        const conflicts = change.tables.has(conflictTable) ? replica.openConflicts : null
        this.#post({ kind: 'step', from, records, change, conflicts })
      }),
      connection.onStatus((status) => {
        tell({ kind: 'status' })
        this.#post({ kind: 'status', from, status: toWireStatus(status) })
      }),
      connection.onPresent((message) => {
        tell({ kind: 'present', message })
        this.#post({ kind: 'present', from, message })
      }),
      connection.onRefused((id, error) => {
        tell({ kind: 'refused', id, error })
        this.#post({ kind: 'refused', from, id, error: error?.toBody() ?? null })
      }),
    ]
  }

  get state(): ReplicaState {
    return this.#parts.replica
  }

  get status(): ConnectionStatus {
    return this.#parts.connection.status
  }

  get refusals(): ReadonlyMap<string, TideError> {
    return this.#parts.connection.refusals.all
  }

  get local(): Pick<LeaderParts, 'replica' | 'connection' | 'store'> {
    return this.#parts
  }

  announce(): void {
    const { id: from, schema, post } = this.#parts
    post({ kind: 'leader', from, schema })
  }

  take(message: TabMessage): void {
    if (this.#isClosed) return
    const { id } = this.#parts
    if (message.kind === 'who') return this.announce()
    if (!('to' in message) || message.to !== id) return
    if (message.kind === 'join') this.#join(message.from)
    else if (message.kind === 'leave') {
      this.#joined.delete(message.from)
      this.#hide(message.from)
    } else if (message.kind === 'call') void this.#serve(message)
  }

  call(method: string, args: readonly unknown[]): Promise<unknown> {
    return this.#callFor(this.#parts.id, method, args)
  }

  /** No step is told any more and no call answered: whoever waits asks the next leader. */
  close(): void {
    this.#isClosed = true
    for (const stop of this.#stops) stop()
  }

  async #callFor(tab: string, method: string, args: readonly unknown[]): Promise<unknown> {
    if (method === 'sendPresence') return this.#show(this.#shown.set(tab, ...(args as Parameters<SendPresence>)))
    const call = this.#calls[method]
    if (call === undefined) throw new TideError('internal', `A tab asks for ${method}, which there is not.`)
    return call(...(args as never[]))
  }

  #show({ channel, state }: Shown): void {
    this.#parts.connection.sendPresence(channel, state)
  }

  /** In one turn with everything it is made of, so that no step comes between. */
  #join(tab: string): void {
    const { replica, id: from, ended } = this.#parts
    this.#joined.add(tab)
    // A tab that is killed does not say that it leaves.
    void ended(tab).then(() => this.#hide(tab))
    const snapshot = {
      stored: replica.records(),
      conflicts: replica.openConflicts,
      status: toWireStatus(this.status),
      refusals: [...this.refusals].map(([refused, error]) => [refused, error.toBody()] as const),
    }
    this.#post({ kind: 'snapshot', from, to: tab, snapshot })
  }

  async #serve({ from: to, id, method, args }: Extract<TabMessage, { kind: 'call' }>): Promise<void> {
    const { id: from } = this.#parts
    const answer = (content: Answer): void => this.#post({ kind: 'answer', from, to, id, answer: content })
    try {
      answer({ result: await this.#callFor(to, method, args) })
    } catch (error) {
      answer(refusalOf(error))
    }
  }

  #hide(tab: string): void {
    if (this.#isClosed) return
    for (const shown of this.#shown.leave(tab)) this.#show(shown)
  }

  #post(message: TabMessage): void {
    if (!this.#isClosed && this.#joined.size > 0) this.#parts.post(message)
  }
}

/** By name, what one tab may ask of another, whichever it is; `SharedReplica` is the other side of each. */
function callsOf({ replica, connection, store }: LeaderParts): Calls {
  return {
    rows: (table: string, ids: readonly string[]) => replica.read((reader) => reader.rows(table, ids)),
    query: (table: string, query: Query) => replica.read((reader) => reader.query(table, query)),
    nearest: (table: string, request: NearestRequest) => replica.read((reader) => reader.nearest(table, request)),
    sql: (text: string, params: readonly unknown[]) => readSql(store, text, params),
    write: (drafts: Parameters<Replica['write']>[0], options: WriteOptions) => replica.write(drafts, options),
    addSubscription: (subscription: Subscription) => replica.addSubscription(subscription),
    removeSubscription: (id: string) => replica.removeSubscription(id),
    refetch: (id: string) => replica.refetch(id),
    serverRows: async (subscription: Subscription, seq: number, tables: readonly string[]) => {
      const found: [table: string, id: string, version: number][] = []
      const isThere = await replica.serverRows(subscription, seq, tables, (table, row) => {
        found.push([table, String(row['id']), Number(row['version'] ?? 0)])
      })
      return isThere ? found : null
    },
    endsOf: async (ids: readonly string[]) => ids.map((id) => replica.endOf(id)),
    retry: (id: string) => replica.retry(id),
    discard: (id: string) => replica.discard(id),
    request: (request: Parameters<Connection['request']>[0]) => connection.request(request),
    search: (request: Omit<UpOf<'search'>, 'type' | 'ref'>) => connection.search(request),
    verify: (subscription: string) => connection.verify(subscription),
    connect: async () => connection.connect(),
    disconnect: async () => connection.disconnect(),
  }
}
