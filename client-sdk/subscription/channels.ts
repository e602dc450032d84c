import { Listeners } from '../../lib/listeners.ts'
import { Waits } from '../../lib/waits.ts'
import type { TideError } from '../../protocol/error.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import { stopError, type ConnectionView } from '../connection/connection-view.ts'
import type { ReplicaView } from '../replica/replica-view.ts'
import type { SubscriptionRecord } from '../store/store.ts'
import { FollowedChannel, type FollowState } from './followed-channel.ts'
import {
  channelOfTarget,
  isSelfContained,
  subscriptionSpec,
  type Owner,
  type FollowOptions,
  type Target,
} from './subscription.ts'

export interface ChannelsParts {
  readonly schema: Schema
  readonly replica: ReplicaView
  readonly connection: ConnectionView
}

/**
 * The channels this replica follows. Subscriptions are kept by the replica, so they go on after a restart; asking again
 * finds them. The own channel and `global` are followed from the first connection on.
 */
export class Channels {
  readonly #parts: ChannelsParts
  readonly #followed = new Map<string, FollowedChannel>()
  readonly #refusals = new Map<string, TideError>()
  readonly #listeners = new Listeners<FollowState>()
  readonly #waits = new Waits()
  /** Channels that are being unsubscribed. */
  readonly #leaving = new Map<string, Promise<void>>()
  #closed: TideError | null = null
  #followsOwn = false

  constructor(parts: ChannelsParts) {
    this.#parts = parts
    const { replica, connection } = parts
    replica.onChange(({ subscriptions }) => {
      if (subscriptions.size > 0) this.#update()
    })
    connection.onStatus(() => {
      this.#followOwn()
      this.#update()
    })
    connection.onRefused((id, error) => {
      if (error === null) this.#refusals.delete(id)
      else this.#refusals.set(id, error)
      this.#update()
    })
    this.#followOwn()
    this.#update()
  }

  get all(): readonly FollowedChannel[] {
    return [...this.#followed.values()]
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
   * Follows a channel. Resolves when that is durable here; `ready` of the answer tells when the rows are. Rejects if the
   * target is one's own and the server refuses the first connection, so that nobody knows whose replica this is, when
   * `signal` aborts meanwhile, and with `closed` when the client is closed.
   */
  async subscribe(target: Target, options: FollowOptions): Promise<FollowedChannel> {
    const { replica, schema } = this.#parts
    if (this.#closed !== null) throw this.#closed
    if (!isSelfContained(target) && this.#owner() === null) await this.#firstWelcome(options.signal)
    const spec = subscriptionSpec(schema, this.channelOf(target), options)
    // A channel that goes and is wanted again is followed anew.
    await this.#leaving.get(spec.id)?.catch(() => undefined)
    this.#refusals.delete(spec.id)
    if (this.#record(spec.id) === undefined) {
      this.#followed.delete(spec.id)
      await replica.addSubscription(spec)
    }
    const channel = this.#follow(spec.id)
    this.#update()
    return channel
  }

  #record(id: string): SubscriptionRecord | undefined {
    return this.#parts.replica.subscriptions.find(({ subscription }) => subscription.id === id)
  }

  #owner(): Owner | null {
    const { organizationId, principal } = this.#parts.replica.meta
    return organizationId === null || principal === null ? null : { organizationId, principal }
  }

  /** What concerns the principal itself, and what is shipped for all: agent types, labels. */
  #followOwn(): void {
    const owner = this.#owner()
    if (owner === null || this.#followsOwn) return
    this.#followsOwn = true
    const { replica, schema, connection } = this.#parts
    for (const channel of [`${owner.principal.kind}/${owner.principal.id}`, 'global']) {
      const spec = subscriptionSpec(schema, channel, {})
      if (this.#record(spec.id) !== undefined) continue
      replica.addSubscription(spec).catch((error: unknown) => connection.reportError(error))
    }
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

  #follow(id: string): FollowedChannel {
    const known = this.#followed.get(id)
    if (known !== undefined) return known
    const record = this.#record(id)
    if (record === undefined) throw new Error(`Subscription ${id} is unknown.`)
    const channel = new FollowedChannel(record.subscription, () => this.#leave(id))
    channel.onState((state) => this.#listeners.tell(state))
    this.#followed.set(id, channel)
    return channel
  }

  /** Until its record is gone, the channel is not followed again for being in the replica. */
  #leave(id: string): Promise<void> {
    this.#followed.delete(id)
    const left = this.#parts.replica.removeSubscription(id).finally(() => this.#leaving.delete(id))
    this.#leaving.set(id, left)
    return left
  }

  #update(): void {
    const { replica, connection } = this.#parts
    for (const { subscription } of replica.subscriptions)
      if (!this.#leaving.has(subscription.id)) this.#follow(subscription.id)
    const { status } = connection
    const isLive = status.connection === 'live' && status.staleSince === null
    const stopped = this.#closed ?? stopError(status)
    for (const [id, channel] of this.#followed) {
      const refusal = this.#refusals.get(id) ?? null
      channel.update({ record: this.#record(id)?.state ?? 'gone', isLive, refusal, stopped })
    }
  }
}
