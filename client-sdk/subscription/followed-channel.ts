import { Listeners } from '../../lib/listeners.ts'
import { TideError } from '../../protocol/error.ts'
import type { Subscription as SubscriptionSpec } from '../../protocol/messages/subscription.ts'

/** `bootstrapping`: the first full state is still coming; `stale`: complete as of the last contact; `revoked`: access was lost and the rows are gone. */
export type FollowState = 'bootstrapping' | 'live' | 'stale' | 'revoked'

/** What a followed channel is told; see `FollowedChannel.update`. */
export interface FollowFacts {
  readonly record: 'new' | 'staging' | 'held' | 'gone'
  readonly isLive: boolean
  /** The server refused the subscription. */
  readonly refusal: TideError | null
  /** Nothing more will come: the server refuses the whole client, or it was closed. */
  readonly stopped: TideError | null
}

/** One followed channel: whether its rows are here, and whether they are current. */
export class FollowedChannel {
  readonly id: string
  readonly channel: string
  /**
   * Resolves when the full state has arrived, at once if the replica held it from an earlier run; rejects if the server
   * refuses the subscription, or this client altogether (`status.connection` is `stopped`), and with `closed` when the
   * channel is unsubscribed or the client closed before.
   */
  readonly ready: Promise<void>
  #state: FollowState = 'bootstrapping'
  readonly #ready = Promise.withResolvers<void>()
  readonly #listeners = new Listeners<FollowState>()
  readonly #unsubscribe: () => Promise<void>

  constructor(spec: SubscriptionSpec, unsubscribe: () => Promise<void>) {
    this.id = spec.id
    this.channel = spec.channel
    this.#unsubscribe = unsubscribe
    this.ready = this.#ready.promise
    this.ready.catch(() => undefined)
  }

  get state(): FollowState {
    return this.#state
  }

  /** Calls back whenever `state` changes; returns the function that stops it. */
  onState(listener: (state: FollowState) => void): () => void {
    return this.#listeners.add(listener)
  }

  /** Stops following and drops the rows that no other subscription holds. */
  async unsubscribe(): Promise<void> {
    await this.#unsubscribe()
    this.#ready.reject(new TideError('closed', `${this.channel} is not followed any more.`))
  }

  /** @internal */
  update(facts: FollowFacts): void {
    const state = nextState(facts)
    if (facts.record === 'held') this.#ready.resolve()
    if (facts.record === 'gone' || facts.refusal !== null) {
      this.#ready.reject(facts.refusal ?? new TideError('forbidden', `Access to ${this.channel} was lost.`))
    }
    if (facts.stopped !== null) this.#ready.reject(facts.stopped)
    if (state === this.#state) return
    this.#state = state
    this.#listeners.tell(state)
  }
}

function nextState(facts: FollowFacts): FollowState {
  if (facts.record === 'gone' || facts.refusal !== null) return 'revoked'
  if (facts.record !== 'held') return 'bootstrapping'
  return facts.isLive ? 'live' : 'stale'
}
