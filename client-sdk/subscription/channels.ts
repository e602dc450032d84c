import { Listeners } from '../../lib/listeners.ts'
import { Waits } from '../../lib/waits.ts'
import type { TideError } from '../../protocol/error.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import { stopError, type ConnectionView } from '../connection/connection-view.ts'
import { ownerOf, type Owner, type ReplicaView } from '../replica/replica-view.ts'
import type { SubscriptionRecord } from '../store/store.ts'
import { FollowedChannel } from './followed-channel.ts'
import { Following, type FollowState } from './following.ts'
import { channelOfTarget, isSelfContained, subscriptionSpec, type FollowOptions, type Target } from './subscription.ts'

export interface ChannelsParts {
  readonly schema: Schema
  readonly replica: ReplicaView
  readonly connection: ConnectionView
}

/** A subscription of the replica, and how many handles that `subscribe` answered are still open. */
interface Followed {
  readonly spec: Subscription
  readonly following: Following
  handles: number
  /** Calls of `subscribe` that the replica has not carried out yet. */
  adding: number
}

/**
 * The channels this replica follows. Subscriptions are kept by the replica, so they go on after a restart; asking again
 * finds them. The own channel and `global` are followed from the first connection on.
 */
export class Channels {
  readonly #parts: ChannelsParts
  readonly #followed = new Map<string, Followed>()
  readonly #refusals = new Map<string, TideError>()
  readonly #listeners = new Listeners<FollowState>()
  readonly #waits = new Waits()
  /** Channels that are being unsubscribed. */
  readonly #leaving = new Map<string, Promise<void>>()
  #closed: TideError | null = null
  /** The own channels were asked for in this run, and since the connection was last made. */
  #followsOwn = false
  #isConnected = false

  constructor(parts: ChannelsParts) {
    this.#parts = parts
    const { replica, connection } = parts
    replica.onChange(({ subscriptions, left }) => {
      for (const id of left) this.#wasLeft(id)
      if (subscriptions.size > 0) this.#update()
    })
    connection.onStatus((status) => {
      const isConnected = status.connection === 'live'
      // Lost with the access of a device that is admitted again now, they are followed anew.
      if (isConnected && !this.#isConnected) this.#followsOwn &&= this.#hasOwn()
      this.#isConnected = isConnected
      this.#followOwn()
      this.#update()
    })
    connection.onRefused((id, error) => {
      if (error === null) this.#refusals.delete(id)
      else this.#refusals.set(id, error)
      this.#update()
    })
    // Of tabs that share a replica, another one may have been told of a refusal before this one was opened.
    for (const [id, error] of connection.refusals.all) this.#refusals.set(id, error)
    this.#followOwn()
    this.#update()
  }

  get states(): readonly { readonly channel: string; readonly state: FollowState }[] {
    return [...this.#followed.values()].map(({ spec, following }) => ({
      channel: spec.channel,
      state: following.state,
    }))
  }

  /**
   * All that the replica follows, also from earlier runs. To unsubscribe one of these ends the subscription for
   * everybody.
   */
  get all(): readonly FollowedChannel[] {
    return [...this.#followed.values()].flatMap((followed) => {
      const { spec, following } = followed
      if (this.#record(spec.id) === undefined) return []
      return new FollowedChannel(spec, following, () => this.#leave(followed))
    })
  }

  /** Calls back whenever the state of any channel changes. */
  onState(listener: () => void): () => void {
    return this.#listeners.add(listener)
  }

  /** Whoever waits for a channel is told that it will not come. */
  close(error: TideError): void {
    this.#closed = error
    this.#waits.end(error)
    this.#update()
  }

  channelOf(target: Target): string {
    return channelOfTarget(target, this.#owner())
  }

  /**
   * Follows a channel. Resolves when that is durable here; `ready` of the answer tells when the rows are. Rejects if
   * the target is one's own and the server refuses the first connection, so that nobody knows whose replica this is,
   * when `signal` aborts meanwhile, and with `closed` when the client is closed.
   */
  async subscribe(target: Target, options: FollowOptions): Promise<FollowedChannel> {
    const { replica, schema } = this.#parts
    if (this.#closed !== null) throw this.#closed
    if (!isSelfContained(target) && this.#owner() === null) await this.#firstWelcome(options.signal)
    const spec = subscriptionSpec(schema, this.channelOf(target), options)
    const { id } = spec
    // A channel that goes and is wanted again is followed anew.
    for (let left = this.#leaving.get(id); left !== undefined; left = this.#leaving.get(id))
      await left.catch(() => undefined)
    const followed = this.#follow(spec)
    followed.handles += 1
    followed.adding += 1
    this.#refusals.delete(id)
    try {
      await replica.addSubscription(spec)
    } catch (error) {
      followed.handles -= 1
      throw error
    } finally {
      followed.adding -= 1
      if (this.#record(id) === undefined && followed.handles === 0) this.#followed.delete(id)
    }
    this.#update()
    return new FollowedChannel(spec, followed.following, () => this.#release(followed))
  }

  #record(id: string): SubscriptionRecord | undefined {
    return this.#parts.replica.subscriptions.find(({ subscription }) => subscription.id === id)
  }

  #owner(): Owner | null {
    return ownerOf(this.#parts.replica)
  }

  /** What concerns the principal itself, and what is shipped for all: agent types, labels. */
  #followOwn(): void {
    const owner = this.#owner()
    if (owner === null || this.#followsOwn) return
    this.#followsOwn = true
    const { replica, connection } = this.#parts
    for (const spec of this.#ownSpecs(owner))
      replica.addSubscription(spec).catch((error: unknown) => connection.reportError(error))
  }

  #hasOwn(): boolean {
    const owner = this.#owner()
    return owner === null || this.#ownSpecs(owner).every(({ id }) => this.#record(id) !== undefined)
  }

  #ownSpecs({ principal: { kind, id } }: Owner): readonly Subscription[] {
    return [`${kind}/${id}`, 'global'].map((channel) => subscriptionSpec(this.#parts.schema, channel, {}))
  }

  #firstWelcome(signal?: AbortSignal): Promise<void> {
    const { connection } = this.#parts
    const isKnown = (): boolean => {
      if (this.#owner() !== null) return true
      const stopped = stopError(connection.status)
      if (stopped !== null) throw stopped
      return false
    }
    return this.#waits.until((look) => connection.onStatus(look), isKnown, signal)
  }

  #follow(spec: Subscription): Followed {
    const known = this.#followed.get(spec.id)
    if (known !== undefined) return known
    const followed = { spec, following: new Following(spec.channel), handles: 0, adding: 0 }
    followed.following.onState((state) => this.#listeners.tell(state))
    this.#followed.set(spec.id, followed)
    return followed
  }

  /** The last one who unsubscribes ends it. */
  #release(followed: Followed): Promise<void> {
    followed.handles -= 1
    return followed.handles > 0 ? Promise.resolve() : this.#leave(followed)
  }

  /** Until its record is gone, the channel is not followed again for being in the replica. */
  #leave(followed: Followed): Promise<void> {
    const { id } = followed.spec
    if (this.#followed.get(id) !== followed) return this.#leaving.get(id) ?? Promise.resolve()
    const left = this.#parts.replica.removeSubscription(id).finally(() => this.#leaving.delete(id))
    this.#leaving.set(id, left)
    this.#end(followed)
    return left
  }

  /** Somebody ended it: another tab, or a later subscription of the same key. */
  #wasLeft(id: string): void {
    const followed = this.#followed.get(id)
    if (followed !== undefined && this.#record(id) === undefined && !this.#refusals.has(id)) this.#end(followed)
  }

  #end({ spec: { id }, following }: Followed): void {
    this.#followed.delete(id)
    this.#refusals.delete(id)
    following.update({ record: 'left', isLive: false, refusal: null, stopped: null })
  }

  #update(): void {
    const { replica, connection } = this.#parts
    for (const { subscription } of replica.subscriptions)
      if (!this.#leaving.has(subscription.id)) this.#follow(subscription)
    const { status } = connection
    const isLive = status.connection === 'live' && status.staleSince === null
    const stopped = this.#closed ?? stopError(status)
    for (const [id, { following, adding }] of this.#followed) {
      const refusal = this.#refusals.get(id) ?? null
      const record = this.#record(id)?.state ?? (adding > 0 ? 'new' : 'gone')
      following.update({ record, isLive, refusal, stopped })
    }
  }
}
