import { createClient, type Client } from '../../client-sdk/client.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import type { ReplicaStore } from '../../client-sdk/store/store.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Transport } from '../../client-sdk/connection/transport.ts'
import type { Principal } from '../../server/scope/principal.ts'
import type { Fates } from './dice.ts'

export interface SimClientParts {
  readonly name: string
  readonly principal: Principal
  readonly schema: Schema
  readonly clock: Clock
  readonly fates: Fates
  readonly transport: Transport
  readonly token: () => Promise<string>
}

/**
 * A device: a store that survives, and a client on it that can be killed at any moment. What a dead client still had
 * under way reaches nobody: its timers, frames and commits stop.
 */
export class SimClient {
  readonly name: string
  readonly principal: Principal
  readonly #parts: SimClientParts
  readonly #store: ReplicaStore
  /** Called in each life, once the client is open. */
  onOpen: (tide: Client) => void = () => undefined
  #client: Client | null = null
  #life = 0

  constructor(parts: SimClientParts) {
    this.name = parts.name
    this.principal = parts.principal
    this.#parts = parts
    this.#store = createMemoryStore(parts.schema)
  }

  /** Revoked once: its rows went from it with its access, those of its own too, whatever a restored server says since. */
  wasRevoked = false

  get tide(): Client | null {
    return this.#client
  }

  /** The tables that its version of the app knows. */
  get schema(): Schema {
    return this.#parts.schema
  }

  /** What the device holds, for the checks: not through the client. */
  get store(): ReplicaStore {
    return this.#store
  }

  async open(): Promise<void> {
    this.#life += 1
    const life = this.#life
    const isAlive = (): boolean => this.#life === life
    const { schema, fates, token, name } = this.#parts
    const client = await createClient({
      schema,
      random: fates.of(name, 'life', life),
      store: mortalStore(this.#store, fates.of(name, 'last breath', life), isAlive),
      clock: mortalClock(this.#parts.clock, isAlive),
      transport: mortalTransport(this.#parts.transport, isAlive),
      token,
      device: { name, kind: 'agent_runtime' },
    })
    if (!isAlive()) return
    // The simulation's schema is the shipped one.
    const tide = client as unknown as Client
    this.#client = tide
    this.onOpen(tide)
  }

  /** kill -9. */
  crash(): void {
    this.#life += 1
    this.#client = null
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
function mortalStore(store: ReplicaStore, random: Random, isAlive: () => boolean): ReplicaStore {
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
    commit: (commit) => guard(() => (isAlive() || random.next() < 0.5 ? store.commit(commit) : never)),
    staged: (subscription, table, ids) => guard(() => store.staged(subscription, table, ids)),
    nearest: (table, request) => guard(() => store.nearest(table, request)),
    close: () => Promise.resolve(),
  }
}
