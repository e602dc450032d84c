import { clientOf, createClient, type Client } from '../../client-sdk/client.ts'
import type { Transport } from '../../client-sdk/connection/transport.ts'
import type { ReplicaStore } from '../../client-sdk/store/store.ts'
import type { EngineParts } from '../../client-sdk/tabs/engine.ts'
import { openSharedEngine } from '../../client-sdk/tabs/shared-engine.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import type { TabBus } from '../tabs/tab-bus.ts'
import type { Fates } from './dice.ts'

/** How a process may end at a commit: before it reaches the store, or after it and before anybody hears of it. */
export type LastCommit = 'none' | 'undone' | 'done'

export interface SimProcessParts {
  readonly name: string
  readonly schema: () => Schema
  readonly store: () => ReplicaStore
  /** Of a tab: what it shares with the others of its browser. */
  readonly bus: TabBus | null
  readonly clock: Clock
  readonly fates: Fates
  readonly transport: Transport
  readonly token: () => Promise<string>
  /** Asked at each commit: whether the process ends there. */
  readonly lastCommit: () => LastCommit
}

/**
 * A process of a device, or a tab of its browser, that can be killed at any moment. What a dead one still had under way
 * reaches nobody: its timers, frames and commits stop.
 */
export class SimProcess {
  readonly name: string
  readonly #parts: SimProcessParts
  onOpen: (tide: Client) => void = () => undefined
  #client: Client | null = null
  #kill: () => void = () => undefined
  #life = 0
  #isOpening = false
  /** Resolves once a close is over, or was cut short. */
  #closed: PromiseWithResolvers<void> | null = null

  constructor(name: string, parts: SimProcessParts) {
    this.name = name
    this.#parts = parts
  }

  /** Null while nothing runs, or nothing is open yet. */
  get tide(): Client | null {
    return this.#client
  }

  /** A tab that leads the others of its browser. */
  get leads(): boolean {
    return this.#parts.bus !== null && this.#parts.bus.leader === this.#tabId
  }

  /** Of this life. */
  get #tabId(): string {
    return `${this.name}/${this.#life}`
  }

  async open(): Promise<void> {
    await this.#closed?.promise
    if (this.#client !== null || this.#isOpening) return
    this.#life += 1
    this.#isOpening = true
    const life = this.#life
    const isAlive = (): boolean => this.#life === life
    const tide = await this.#opened(isAlive)
    if (!isAlive()) return
    this.#isOpening = false
    this.#client = tide
    this.onOpen(tide)
  }

  async #opened(isAlive: () => boolean): Promise<Client> {
    const { schema, fates, token, clock, transport, store, bus, lastCommit, name: device } = this.#parts
    const parts: EngineParts = {
      schema: schema(),
      random: fates.of(this.name, 'life', this.#life),
      clock: mortalClock(clock, isAlive),
      transport: mortalTransport(transport, isAlive),
      token,
      device: { name: device, kind: 'agent_runtime' },
    }
    const lastBreath = fates.of(this.name, 'last breath', this.#life)
    const endAt = (): LastCommit => {
      const last = lastCommit()
      if (last !== 'none') this.#end()
      return last
    }
    const openStore = (): ReplicaStore => mortalStore(store(), { random: lastBreath, isAlive, endAt })
    // The simulation's schema is the shipped one.
    if (bus === null) return (await createClient({ ...parts, store: openStore() })) as unknown as Client
    const tabs = bus.open(this.#tabId)
    this.#kill = () => tabs.crash()
    return clientOf(parts, await openSharedEngine(tabs, parts, async () => openStore())) as unknown as Client
  }

  /** kill -9. */
  crash(): void {
    this.#life += 1
    this.#isOpening = false
    this.#client = null
    this.#kill()
    this.#closed?.resolve()
  }

  /** Dies by itself, and is opened again after a while. */
  #end(): void {
    this.crash()
    this.#parts.clock.after(1000, () => void this.open())
  }

  /** As a user closes it: with a last word to the others. */
  async close(): Promise<void> {
    const tide = this.#client
    if (tide === null) return
    this.#client = null
    const closed = Promise.withResolvers<void>()
    this.#closed = closed
    await Promise.race([tide.close(), closed.promise])
    closed.resolve()
  }
}

function mortalClock(clock: Clock, isAlive: () => boolean): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (ms, run) =>
      clock.after(ms, () => {
        if (isAlive()) run()
      }),
  }
}

function mortalTransport(transport: Transport, isAlive: () => boolean): Transport {
  return {
    open(listener) {
      const connection = transport.open({
        opened: () => {
          if (isAlive()) listener.opened()
          else connection.close()
        },
        received: (frame) => {
          if (isAlive()) listener.received(frame)
          else connection.close()
        },
        closed: (reason) => {
          if (isAlive()) listener.closed(reason)
        },
      })
      return {
        send: (frame) => {
          if (isAlive()) connection.send(frame)
        },
        close: () => {
          if (isAlive()) connection.close()
        },
      }
    },
  }
}

/** A commit of a dying client happens or does not; either way nobody hears of it. */
function mortalStore(
  store: ReplicaStore,
  {
    random,
    isAlive,
    endAt,
  }: { readonly random: Random; readonly isAlive: () => boolean; readonly endAt: () => LastCommit },
): ReplicaStore {
  const never = new Promise<never>(() => undefined)
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    if (!isAlive()) return never
    const result = await work()
    return isAlive() ? result : never
  }
  return {
    load: () => guard(() => store.load()),
    rows: (table, ids) => guard(() => store.rows(table, ids)),
    query: (table, query) => guard(() => store.query(table, query)),
    commit: (commit) =>
      guard(async () => {
        const last = endAt()
        if (last === 'undone' || (!isAlive() && last === 'none' && random.next() < 0.5)) return never
        return store.commit(commit)
      }),
    staged: (subscription, table, ids) => guard(() => store.staged(subscription, table, ids)),
    nearest: (table, request) => guard(() => store.nearest(table, request)),
    close: () => Promise.resolve(),
  }
}
