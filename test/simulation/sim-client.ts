import type { Client } from '../../client-sdk/client.ts'
import type { Transport } from '../../client-sdk/connection/transport.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import type { ReplicaStore } from '../../client-sdk/store/store.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import type { Principal } from '../../server/scope/principal.ts'
import { TabBus } from '../tabs/tab-bus.ts'
import type { Fates } from './dice.ts'
import { SimProcess, type LastCommit } from './sim-process.ts'
import { updatedStore } from './updated-store.ts'

export interface SimClientParts {
  readonly name: string
  readonly principal: Principal
  readonly schema: Schema
  readonly clock: Clock
  readonly fates: Fates
  readonly transport: Transport
  readonly token: () => Promise<string>
  /** Of a browser: so many tabs that share its store. 1: a process that has it alone. */
  readonly tabs: number
  /** Asked at each commit: whether who commits ends there. */
  readonly lastCommit: () => LastCommit
}

/**
 * A device: a store that survives, and on it a client, or those of a browser's tabs. Each can be killed at any moment.
 */
export class SimClient {
  readonly name: string
  readonly principal: Principal
  readonly #processes: readonly SimProcess[]
  #schema: Schema
  #store: ReplicaStore
  /** Called of each life of each client, once it is open. */
  onOpen: (tide: Client) => void = () => undefined

  constructor(parts: SimClientParts) {
    const { name, principal, schema, fates, tabs } = parts
    this.name = name
    this.principal = principal
    this.#schema = schema
    this.#store = createMemoryStore(schema)
    const bus = tabs > 1 ? new TabBus(inTime(parts.clock, fates, name)) : null
    const device = { ...parts, bus, schema: () => this.#schema, store: () => this.#store }
    this.#processes = Array.from({ length: tabs }, (_, index) => {
      // The first one is named as the device is: so are the fates of plans that were kept.
      const process = new SimProcess(index === 0 ? name : `${name} ${index + 1}`, device)
      process.onOpen = (tide) => this.onOpen(tide)
      return process
    })
  }

  /**
   * Revoked once: its rows went from it with its access, those of its own too, whatever a restored server says since.
   */
  wasRevoked = false

  /** One of its clients, if any is open. */
  get tide(): Client | null {
    return this.tides[0] ?? null
  }

  /** All of its clients that are open: one, or those of the tabs. */
  get tides(): readonly Client[] {
    return this.#processes.map(({ tide }) => tide).filter((tide) => tide !== null)
  }

  /** Tabs, or the one process that it is. */
  get processes(): readonly SimProcess[] {
    return this.#processes
  }

  get isBrowser(): boolean {
    return this.#processes.length > 1
  }

  get isWholeOpen(): boolean {
    return this.#processes.every(({ tide }) => tide !== null)
  }

  /** The tables that its version of the app knows. */
  get schema(): Schema {
    return this.#schema
  }

  /** What the device holds, for the checks: not through a client. */
  get store(): ReplicaStore {
    return this.#store
  }

  /** Opens what is not open. Of tabs it resolves only while time passes, for they talk with each other. */
  async open(): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.open()))
  }

  /** kill -9, of all tabs. */
  crash(): void {
    for (const process of this.#processes) process.crash()
  }

  /** Puts another version of the app on the device, while nothing of it runs. */
  async update(schema: Schema): Promise<void> {
    this.#store = await updatedStore(this.#store, schema)
    this.#schema = schema
  }
}

/** Messages between tabs take 1 to 4 ms, and those of one tab come in the order in which they were sent. */
function inTime(clock: Clock, fates: Fates, name: string): (from: string, run: () => void) => void {
  const delays = fates.dice(name, 'tab messages')
  const arrivals = new Map<string, number>()
  return (from, run) => {
    const now = clock.monotonic()
    const at = Math.max(arrivals.get(from) ?? 0, now + 1 + delays.below(4))
    arrivals.set(from, at)
    clock.after(at - now, run)
  }
}
