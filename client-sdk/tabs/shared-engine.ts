import { TideError } from '../../protocol/error.ts'
import { tablesOf } from '../store/holding.ts'
import type { ReplicaStore } from '../store/store.ts'
import { LeaderGone } from './backend.ts'
import { openEngine, type Engine, type EngineParts, type LocalEngine } from './engine.ts'
import { Follower } from './follower.ts'
import { Leader } from './leader.ts'
import { SharedReplica } from './shared-replica.ts'
import type { TabMessage } from './tab-messages.ts'

/** The tabs of one browser that share a replica, as one of them sees them. */
export interface Tabs {
  /** Of this tab, and of no other, ever. */
  readonly id: string
  post(message: TabMessage): void
  listen(hear: (message: TabMessage) => void): void
  /** Resolves when this tab is the one that leads, at once or when all before it are gone. Rejects when it closes. */
  elect(): Promise<void>
  /** Resolves when another tab is gone, however it went. Never, when this one closes before. */
  ended(tab: string): Promise<void>
  /** Lets another tab lead. */
  resign(): void
  /** Resigns, and hears and says nothing more. */
  close(): void
}

/** Milliseconds until a tab that could not open the replica tries again; another may meanwhile. */
const retryMs = 1000

/**
 * An engine of all tabs. The elected one opens the replica and connects; the others work through it. When it goes away,
 * the browser elects the next, which opens the same replica: what was durable there is there, and calls under way are
 * asked again. Throws `TideError` when the replica cannot be opened, or is open in a tab of another version.
 */
export async function openSharedEngine(
  tabs: Tabs,
  parts: EngineParts,
  openStore: () => Promise<ReplicaStore>,
): Promise<Engine> {
  const engine = new SharedEngine(tabs, parts, openStore)
  try {
    await engine.opened()
  } catch (error) {
    await engine.close()
    throw error
  }
  return engine
}

class SharedEngine implements Engine {
  readonly #tabs: Tabs
  readonly #parts: EngineParts
  readonly #openStore: () => Promise<ReplicaStore>
  readonly #shared: SharedReplica
  /** Tabs of another version have other tables, and cannot follow. */
  readonly #schema: string
  #leader: Leader | null = null
  #local: LocalEngine | null = null
  #follower: Follower | null = null
  #joining: string | null = null
  #taking: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(tabs: Tabs, parts: EngineParts, openStore: () => Promise<ReplicaStore>) {
    this.#tabs = tabs
    this.#parts = parts
    this.#openStore = openStore
    this.#schema = JSON.stringify(parts.schema)
    this.#shared = new SharedReplica({
      id: tabs.id,
      tables: tablesOf(parts.schema),
      now: () => parts.clock.now(),
    })
    tabs.listen((message) => this.#hear(message))
  }

  get replica(): Engine['replica'] {
    return this.#shared.replica
  }

  get connection(): Engine['connection'] {
    return this.#shared.connection
  }

  sql(text: string, params: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]> {
    return this.#shared.sql(text, params)
  }

  opened(): Promise<void> {
    this.#stand()
    this.#tabs.post({ kind: 'who', from: this.#tabs.id })
    return this.#shared.opened
  }

  start(): void {
    this.#local?.connection.connect()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#taking
    this.#leader?.close()
    this.#follower?.leave()
    const closed = new TideError('closed', 'The client is closed.')
    this.#follower?.end(closed)
    this.#shared.end(closed)
    await this.#local?.close()
    this.#tabs.close()
  }

  /** Stands for election, until this tab is elected. */
  #stand(): void {
    this.#tabs.elect().then(
      () => {
        this.#taking = this.#lead()
      },
      () => undefined, // It closes.
    )
  }

  async #lead(): Promise<void> {
    if (this.#isClosed) return this.#tabs.resign()
    const before = this.#shared.backend
    this.#lose()
    try {
      this.#local = await openEngine(this.#parts, await this.#openStore())
    } catch (error) {
      this.#tabs.resign()
      if (before === null || this.#isClosed)
        return this.#shared.end(error instanceof TideError ? error : new TideError('internal', String(error)))
      this.#shared.connection.reportError(error)
      this.#parts.clock.after(retryMs, () => {
        if (!this.#isClosed) this.#stand()
      })
      return
    }
    const { replica, connection, store } = this.#local
    const { id } = this.#tabs
    this.#leader = new Leader({
      id,
      replica,
      connection,
      store,
      schema: this.#schema,
      post: (message) => this.#tabs.post(message),
      ended: (tab) => this.#tabs.ended(tab),
      tell: (event) => this.#shared.take(event),
    })
    // Whoever was offline on purpose stays so.
    const isWanted = before !== null && before.status.connection !== 'offline'
    await this.#shared.use(this.#leader)
    this.#leader.announce()
    if (isWanted) connection.connect()
  }

  #hear(message: TabMessage): void {
    if (this.#isClosed || message.from === this.#tabs.id) return
    if (this.#leader !== null) return this.#leader.take(message)
    if (message.kind === 'leader') this.#follow(message.from, message.schema)
    else if (message.kind === 'snapshot' && message.to === this.#tabs.id) this.#begin(message)
    else this.#follower?.take(message)
  }

  #follow(leader: string, schema: string): void {
    if (this.#follower?.leader === leader) return
    this.#lose()
    if (schema !== this.#schema) {
      const error = new TideError(
        'replica_locked',
        'Another tab has the replica open, with other tables than this one.',
        {
          remedy: 'Reload that tab, or this one: they run different versions of the app.',
        },
      )
      // A tab of an older version would make the replica's tables anew, were it elected later.
      this.#tabs.close()
      return this.#shared.end(error)
    }
    this.#joining = leader
    this.#tabs.post({ kind: 'join', from: this.#tabs.id, to: leader })
  }

  #begin({ from, snapshot }: Extract<TabMessage, { kind: 'snapshot' }>): void {
    if (from !== this.#joining) return
    this.#joining = null
    this.#follower = new Follower({
      id: this.#tabs.id,
      leader: from,
      tables: tablesOf(this.#parts.schema),
      clock: this.#parts.clock,
      snapshot,
      post: (message) => this.#tabs.post(message),
      tell: (event) => this.#shared.take(event),
    })
    void this.#shared.use(this.#follower)
  }

  /** The one that was followed is gone. */
  #lose(): void {
    if (this.#follower === null) return
    this.#shared.await()
    this.#follower.end(new LeaderGone())
    this.#follower = null
  }
}
