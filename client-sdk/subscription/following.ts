import { Listeners } from '../../lib/listeners.ts'
import { TideError } from '../../protocol/error.ts'

/**
 * `bootstrapping`: the first full state is still coming; `stale`: complete as of the last contact; `revoked`: the
 * server refuses it, or access was lost and the rows are gone; `unsubscribed`: it is followed no more.
 */
export type FollowState = 'bootstrapping' | 'live' | 'stale' | 'revoked' | 'unsubscribed'

/** What a subscription is told; see `Following.update`. */
export interface FollowFacts {
  /** `left`: nobody follows it any more; `gone`: it was lost. */
  readonly record: 'new' | 'staging' | 'held' | 'left' | 'gone'
  readonly isLive: boolean
  /** The server refused the subscription. */
  readonly refusal: TideError | null
  /** Nothing more will come: the server refuses the whole client, or it was closed. */
  readonly stopped: TideError | null
}

/**
 * One subscription of the replica as all who follow it see it: whether its rows are here, and whether they are current.
 */
export class Following {
  readonly #channel: string
  readonly #listeners = new Listeners<FollowState>()
  #state: FollowState = 'bootstrapping'
  #ready = unready()
  #hasFailed = false

  constructor(channel: string) {
    this.#channel = channel
  }

  get state(): FollowState {
    return this.#state
  }

  /** Another promise after one that rejected, when the rows may come after all. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  onState(listener: (state: FollowState) => void): () => void {
    return this.#listeners.add(listener)
  }

  update(facts: FollowFacts): void {
    const failure = this.#failureOf(facts)
    if (facts.record === 'held' && facts.refusal === null) this.#settle(null)
    else if (failure !== null) this.#settle(failure)
    else if (this.#hasFailed) {
      this.#ready = unready()
      this.#hasFailed = false
    }
    const state = nextState(facts)
    if (state === this.#state) return
    this.#state = state
    this.#listeners.tell(state)
  }

  #settle(failure: TideError | null): void {
    if (failure === null && this.#hasFailed) this.#ready = unready()
    this.#hasFailed = failure !== null
    if (failure === null) this.#ready.resolve()
    else this.#ready.reject(failure)
  }

  #failureOf({ record, refusal, stopped }: FollowFacts): TideError | null {
    if (refusal !== null) return refusal
    if (record === 'left') return notFollowed(this.#channel)
    return record === 'gone' ? new TideError('forbidden', `Access to ${this.#channel} was lost.`) : stopped
  }
}

export function notFollowed(channel: string): TideError {
  return new TideError('closed', `${channel} is not followed any more.`)
}

/** Nobody has to look at it. */
function unready(): PromiseWithResolvers<void> {
  const ready = Promise.withResolvers<void>()
  ready.promise.catch(() => undefined)
  return ready
}

function nextState({ record, refusal, isLive }: FollowFacts): FollowState {
  if (refusal !== null) return 'revoked'
  if (record === 'left') return 'unsubscribed'
  if (record === 'gone') return 'revoked'
  if (record !== 'held') return 'bootstrapping'
  return isLive ? 'live' : 'stale'
}
