import { Listeners } from '../../lib/listeners.ts'
import type { Filter } from '../../protocol/rows/filter.ts'
import type { Subscription as SubscriptionSpec } from '../../protocol/messages/subscription.ts'
import { subscriptionKey } from '../replica/subscription-key.ts'
import { notFollowed, type Following, type FollowState } from './following.ts'

/**
 * One handle of a followed channel. Each `subscribe` answers one of its own: the rows stay until all are unsubscribed.
 */
export class FollowedChannel {
  /** Of the subscription: the same for everybody who asks for the same. */
  readonly id: string
  readonly channel: string
  /** The `key` that it was asked for with. */
  readonly key: string | undefined
  /** SQL names; undefined: all synced tables. */
  readonly tables: readonly string[] | undefined
  /** By SQL table name. */
  readonly where: Readonly<Record<string, Filter>> | undefined
  readonly embeddings: boolean
  readonly #following: Following
  readonly #leave: () => Promise<void>
  readonly #listeners = new Listeners<FollowState>()
  #left: Promise<void> | null = null
  #stopListening: (() => void) | null = null
  #ready: { readonly shared: Promise<void>; readonly own: Promise<void> } | null = null
  readonly #unsubscribed = Promise.withResolvers<never>()

  constructor(spec: SubscriptionSpec, following: Following, leave: () => Promise<void>) {
    this.id = spec.id
    this.channel = spec.channel
    this.key = subscriptionKey(spec.id)
    this.tables = spec.tables
    this.where = spec.where
    this.embeddings = spec.embeddings
    this.#following = following
    this.#leave = leave
    this.#unsubscribed.promise.catch(() => undefined)
  }

  get state(): FollowState {
    return this.#left === null ? this.#following.state : 'unsubscribed'
  }

  /**
   * Resolves when the full state has arrived, at once if the replica held it from an earlier run. Rejects if the server
   * refuses the subscription, or this client altogether (`status.connection` is `stopped`), and with `closed` when this
   * handle is unsubscribed or the client closed before. After a refusal that is over it is another promise: read it
   * again.
   */
  get ready(): Promise<void> {
    const shared = this.#following.ready
    if (this.#ready?.shared !== shared) {
      this.#ready = { shared, own: Promise.race([shared, this.#unsubscribed.promise]) }
      this.#ready.own.catch(() => undefined)
    }
    return this.#ready.own
  }

  /** Calls back whenever `state` changes; returns the function that stops it. */
  onState(listener: (state: FollowState) => void): () => void {
    this.#stopListening ??= this.#following.onState((state) => this.#listeners.tell(state))
    return this.#listeners.add(listener)
  }

  /**
   * Gives this handle up: its state is `unsubscribed` from now on. With the last one of a client the rows go that no
   * other subscription holds. Resolves when that is durable here.
   */
  unsubscribe(): Promise<void> {
    this.#left ??= this.#end()
    return this.#left
  }

  #end(): Promise<void> {
    const wasLeft = this.#following.state === 'unsubscribed'
    this.#stopListening?.()
    this.#unsubscribed.reject(notFollowed(this.channel))
    // The state is told when this call has set it.
    if (!wasLeft) queueMicrotask(() => this.#listeners.tell('unsubscribed'))
    return this.#leave()
  }
}
