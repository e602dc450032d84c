import { TideError } from '../../protocol/error.ts'
import type { Clock } from '../../lib/clock.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import type { Random } from '../../lib/random.ts'
import { defaultLimits } from '../../server/config.ts'
import { Connection } from '../../server/gateway/connection.ts'
import { Expiries } from '../../server/gateway/expiries.ts'
import { Presence } from '../../server/gateway/presence.ts'
import { createHub, type Hub, type HubSession } from '../../server/hub/hub.ts'
import { createMutations } from '../../server/mutation/mutations.ts'
import type { Principal } from '../../server/scope/principal.ts'
import type { Log } from '../../server/telemetry/telemetry.ts'
import type { Catalog } from '../../server/catalog/catalog.ts'
import type { Tally } from './tally.ts'
import type { SimDatabase } from './sim-database.ts'
import { simSource } from './sim-source.ts'
import { SimulatedCrash, type CrashPoint, SimMutationStore } from './sim-mutation-store.ts'
import type { Accept } from './sim-network.ts'

export interface SimServerParts {
  readonly catalog: Catalog
  readonly database: SimDatabase
  readonly clock: Clock
  readonly random: Random
  readonly tally: Tally
  readonly latency: () => Promise<void>
  /** Asked at each commit: whether the server dies there. */
  readonly crashAt: () => CrashPoint
  /** The server has died by itself, at a commit. */
  readonly died: () => void
}

interface Device {
  readonly id: string
  readonly principal: Principal
}

/** Milliseconds that a token lasts: between these, and the session it opened a little longer. */
const [shortestTokenMs, longestTokenMs] = [2000, 12_000]

/**
 * The real hub, mutations and gateway over the simulated database. A crash drops everything but the database; what was
 * committed stays, what was not is gone, and nobody is told.
 */
export class SimServer {
  readonly store: SimMutationStore
  readonly #parts: SimServerParts
  readonly #devices = new Map<string, Device>()
  readonly #newId: () => string
  /** Errors that the server logged: a simulation that has any has failed. */
  readonly errors: string[] = []
  #tokens = 0
  #running: {
    readonly hub: Hub
    readonly connections: Set<Connection>
    readonly open: () => (transport: ConstructorParameters<typeof Connection>[1]) => Connection
  } | null = null
  #life = 0

  constructor(parts: SimServerParts) {
    this.#parts = parts
    this.#newId = createUuidSource(parts.clock, parts.random)
    this.store = new SimMutationStore(parts)
  }

  /** All that a backup of the database holds; what it answers brings it back, while the server is down. */
  backUp(): () => void {
    const database = this.#parts.database.backUp()
    const ledger = this.store.backUp()
    const devices = [...this.#devices]
    return () => {
      database()
      ledger()
      this.#devices.clear()
      for (const [fingerprint, device] of devices) this.#devices.set(fingerprint, device)
    }
  }

  get isRunning(): boolean {
    return this.#running !== null
  }

  readonly accept: Accept = (end) => {
    const running = this.#running
    if (running === null) return null
    const connection = running.open()({
      unread: 0,
      onceDrained: () => undefined,
      send: (frame) => end.send(frame),
      close: () => end.close(),
    })
    running.connections.add(connection)
    return {
      received: (frame) => {
        if (this.#running === running) connection.receive(frame)
      },
      closed: () => {
        running.connections.delete(connection)
        if (this.#running === running) connection.close()
      },
    }
  }

  async start(): Promise<void> {
    const { catalog, database, clock, latency, died } = this.#parts
    this.#life += 1
    const life = this.#life
    const log = this.#log(() => this.#life === life)
    const hub = createHub({
      feed: database,
      source: simSource(database, clock),
      catalog,
      clock,
      log,
      limits: { windowBatches: 4, partRows: 7, pageRows: 5, ringChanges: 20, concurrentPages: 2 },
    })
    const mutations = createMutations({ store: this.store, catalog, clock, log, onCommitted: () => hub.wake() })
    const presence = new Presence(clock)
    const expiries = new Expiries(clock)
    const byDevice = new Map<string, Connection>()
    await hub.start()
    this.#running = {
      hub,
      connections: new Set(),
      open: () => (transport) =>
        new Connection(
          {
            auth: { authenticate: (token) => this.#authenticate(token) },
            devices: {
              register: async (principal, { device, clientSeq }) => {
                await latency()
                const known = this.#devices.get(device.fingerprint) ?? { id: this.#newId(), principal }
                this.#devices.set(device.fingerprint, known)
                if (known.principal.id !== principal.id)
                  throw new TideError('device_principal_mismatch', 'The device is of somebody else.')
                if (database.isRevoked(known.id)) throw new TideError('device_revoked', 'The device was revoked.')
                const last = this.store.lastClientSeq(known.id)
                if (clientSeq < last)
                  throw new TideError(
                    'device_cloned',
                    `The replica has given out ${clientSeq}, the ledger has ${last}.`,
                  )
                return { deviceId: known.id, clientSeq: last }
              },
              useSession: () => Promise.resolve(),
            },
            hub: { open: (options) => this.#open(hub, options) },
            expiries,
            mutations: {
              push: async (principal, batch) => {
                try {
                  return await mutations.push(principal, batch)
                } catch (error) {
                  if (error instanceof SimulatedCrash) died()
                  throw error
                }
              },
            },
            search: { search: () => Promise.reject(new TideError('not_found', 'There is no search here.')) },
            actions: { call: () => Promise.reject(new TideError('not_found', 'There are no actions here.')) },
            presence,
            byDevice,
            clock,
            log,
            limits: { ...defaultLimits, messagesPerSecond: 100_000, messageBurst: 100_000 },
            schemaHash: 'simulation',
          },
          transport,
        ),
    }
    this.#beat(life)
  }

  /** A token for whoever can reach who gives them out, and the time is the server's. */
  issueToken(principal: Principal): string {
    const { clock, random } = this.#parts
    const expiresAt = clock.now() + shortestTokenMs + random.next() * (longestTokenMs - shortestTokenMs)
    return JSON.stringify({ principal, expiresAt, number: ++this.#tokens } satisfies Token)
  }

  async #authenticate(text: string): Promise<Principal & { readonly expiresAt: number }> {
    const { clock, tally } = this.#parts
    const { principal, expiresAt } = JSON.parse(text) as Token
    if (expiresAt > clock.now()) return { ...principal, expiresAt }
    tally.add('token expired')
    throw new TideError('token_expired', 'The token is past its end.')
  }

  async #open(hub: Hub, options: Parameters<Hub['open']>[0]): Promise<HubSession> {
    const session = await hub.open(options)
    const { database, tally } = this.#parts
    if (options.cursor !== null && !session.resume) tally.add('replica not resumed')
    if (options.cursor !== null && session.resume && options.cursor.seq < database.head) tally.add('catch-up')
    return session
  }

  /** kill -9. */
  crash(): void {
    const running = this.#running
    this.#running = null
    this.#life += 1
    void running?.hub.stop()
  }

  /** The sign of life that goes through the whole path. */
  #beat(life: number): void {
    this.#parts.clock.after(1000, () => {
      if (this.#life !== life) return
      this.#parts.database.canary()
      this.#running?.hub.wake()
      this.#beat(life)
    })
  }

  #log(isAlive: () => boolean): Log {
    return {
      error: (message, details) => {
        if (isAlive() && !JSON.stringify(details ?? {}).includes('SimulatedCrash'))
          this.errors.push(`${message} ${JSON.stringify(details ?? {})}`)
      },
      info: () => undefined,
      debug: () => undefined,
    }
  }
}

/** Tokens of the simulation say who they are of. */
interface Token {
  readonly principal: Principal
  readonly expiresAt: number
  /** No two are equal. */
  readonly number: number
}
