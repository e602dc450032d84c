// A real replica in a real session of the SDK, at a hub: all of a client but its socket and its writes.
import { Session } from '../../client-sdk/connection/session.ts'
import { Replica } from '../../client-sdk/replica/replica.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'
import type { Down } from '../../protocol/messages/down.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Up } from '../../protocol/messages/up.ts'
import { parseDown } from '../../protocol/parse.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import type { Hub, HubSession } from '../../server/hub/hub.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import { WatchedStore, type StoredMoment } from './watched-store.ts'

const limits = { messageBytes: 1e6, subscriptions: 500, pushMutations: 100, windowBatches: 64 }

interface Line {
  readonly hub: HubSession
  readonly session: Session
}

export class WorldReplica {
  readonly principal: DevicePrincipal
  readonly #replica: Replica
  readonly #watched: WatchedStore
  #line: Line | undefined
  /** The end of the session before. */
  #over = Promise.resolve()
  /** What should not have happened. */
  readonly failures: unknown[] = []
  /** How often a session ended because access was lost. */
  refusals = 0
  /** How often it had to load everything anew. */
  reloads = 0

  private constructor(principal: DevicePrincipal, replica: Replica, watched: WatchedStore) {
    this.principal = principal
    this.#replica = replica
    this.#watched = watched
  }

  static async open(principal: DevicePrincipal, schema: Schema): Promise<WorldReplica> {
    const tables = Object.values(schema).map(({ name }) => name)
    const watched = new WatchedStore(createMemoryStore(schema), tables)
    const replica = await Replica.open({ store: watched.store, schema, clock: systemClock, random: systemRandom })
    return new WorldReplica(principal, replica, watched)
  }

  /** Every state that it had. */
  get moments(): readonly StoredMoment[] {
    return this.#watched.moments
  }

  get isConnected(): boolean {
    return this.#line !== undefined
  }

  get subscriptions(): Replica['subscriptions'] {
    return this.#replica.subscriptions
  }

  /** False: it has no access at all now. */
  async connect(hub: Hub): Promise<boolean> {
    await this.disconnect()
    const { cursor } = this.#replica.meta
    const early: Uint8Array[] = []
    const line: { session?: Session } = {}
    let at: HubSession
    try {
      at = await hub.open({
        principal: this.principal,
        cursor,
        send: (frame) => {
          if (line.session) this.#receive(line.session, frame)
          else early.push(frame)
        },
        ended: (error) => this.#ended(error, line.session),
      })
    } catch (error) {
      if (!(error instanceof TideError) || error.code !== 'token_invalid') throw error
      this.refusals++
      return false
    }
    // Who holds nothing yet may begin before what was truncated long ago.
    if (cursor !== null && cursor.seq > 0 && !at.resume) this.reloads++
    await this.#replica.applyWelcome(this.#welcome(at))
    const session = this.#session(at)
    line.session = session
    this.#line = { hub: at, session }
    session.start()
    for (const frame of early) this.#receive(session, frame)
    return true
  }

  async disconnect(): Promise<void> {
    const line = this.#line
    this.#line = undefined
    line?.hub.close()
    await line?.session.end()
    await this.#over
  }

  subscribe(subscription: Subscription): Promise<void> {
    return this.#replica.addSubscription(subscription)
  }

  unsubscribe(id: string): Promise<void> {
    return this.#replica.removeSubscription(id)
  }

  #session(hub: HubSession): Session {
    const failed = (error: unknown): void => void this.failures.push(error)
    return new Session({
      replica: this.#replica,
      clock: systemClock,
      send: (message) => this.#send(hub, message),
      unappliable: failed,
      failed,
      reported: failed,
      identityLost: () => failed(new Error('The identity was lost.')),
      applied: () => undefined,
      current: () => undefined,
      refused: () => undefined,
    })
  }

  /** As the gateway hands messages on. */
  #send(hub: HubSession, message: Up): void {
    switch (message.type) {
      case 'subscribe':
        return this.#ask(hub, undefined, hub.subscribe(message.subscriptions))
      case 'unsubscribe':
        return hub.unsubscribe(message.id)
      case 'page':
        return this.#ask(hub, message.subscription, hub.page(message.subscription, message.after))
      case 'activate':
        return hub.activate(message.subscription, message.from)
      case 'ack':
        return hub.ack(message.seq)
      default:
        this.failures.push(new Error(`Nobody asked for ${message.type}.`))
    }
  }

  #ask(hub: HubSession, subscription: string | undefined, answer: Promise<void>): void {
    answer.catch((error: unknown) => {
      if (this.#line?.hub !== hub) return
      if (!(error instanceof TideError)) {
        this.failures.push(error)
        return
      }
      const named = subscription === undefined ? {} : { subscription }
      this.#line.session.receive({
        message: { type: 'error', error: error.toBody(), fatal: false, ...named },
        sections: [],
      })
    })
  }

  #receive(session: Session, frame: Uint8Array): void {
    try {
      const { message, sections } = parseDown(frame)
      if (isOfSession(message)) session.receive({ message, sections })
    } catch (error) {
      // The hub would take it for a broken socket.
      this.failures.push(error)
    }
  }

  #ended(error: TideError, session: Session | undefined): void {
    if (error.code === 'token_invalid') this.refusals++
    else if (error.code !== 'cursor_too_old') this.failures.push(error)
    if (session !== undefined && this.#line?.session === session) this.#line = undefined
    this.#over = this.#finish(error, session)
  }

  /** As the connection of the SDK does. */
  async #finish({ code }: TideError, session: Session | undefined): Promise<void> {
    await session?.end()
    if (code === 'cursor_too_old') await this.#replica.rebuild()
  }

  #welcome({ epoch, resume }: HubSession): Parameters<Replica['applyWelcome']>[0] {
    const { kind, id, organizationId, deviceId } = this.principal
    return {
      type: 'welcome',
      protocol: 1,
      schemaHash: 'world',
      epoch,
      resume,
      organizationId,
      principal: { kind, id },
      deviceId,
      clientSeq: 0,
      serverTime: systemClock.now(),
      tokenExpiresAt: systemClock.now() + 3_600_000,
      limits,
    }
  }
}

function isOfSession(message: Down): message is Parameters<Session['receive']>[0]['message'] {
  return ['subscribed', 'page', 'batch', 'frontier', 'error'].includes(message.type)
}
