import type { Replica } from '../replica/replica.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import type { Mutation } from '../../protocol/messages/mutation.ts'
import { messageFrame } from '../../protocol/parse.ts'
import { pushLimits } from './connection-options.ts'
import type { Pace } from './pace.ts'
import type { Watchdog } from './watchdog.ts'

export interface PusherOptions {
  readonly replica: Replica
  readonly send: (message: UpOf<'push'>) => void
  readonly failed: (error: unknown) => void
  /** Barks when a push stays without an answer. */
  readonly watchdog: Watchdog
  readonly pace: Pace
}

/**
 * Sends what waits in the outbox, in counter order, with a bounded number of pushes under way: first everything that
 * was sent before and has no answer, then what is new. One of these per connection, so that a new one begins anew.
 */
export class Pusher {
  readonly #options: PusherOptions
  /** What each push under way holds. */
  #inFlight: (readonly Mutation[])[] = []
  #after = 0
  /** Counts rewinds: what was asked for before one is not sent after it. */
  #run = 0
  #isPumping = false
  #isDue = false
  #isStopped = false
  /** A push was refused as a whole: until `rewind` the server would find a gap before whatever came. */
  #isHeld = false
  #bytes: number = pushLimits.bytes

  constructor(options: PusherOptions) {
    this.#options = options
  }

  get isIdle(): boolean {
    return this.#inFlight.length === 0 && !this.#isHeld
  }

  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Something may be there to send, or room to send it. */
  pump(): void {
    this.#isDue = true
    if (!this.#isPumping) void this.#pump()
  }

  /** One push was answered. */
  answered(): void {
    this.#inFlight.shift()
    this.#watch()
    this.pump()
  }

  /** A push was refused as a whole, and with it those behind it. Nothing is sent until `rewind`. */
  hold(): void {
    this.#isHeld = true
    this.#inFlight = []
    this.#run += 1
    this.#watch()
  }

  /** Everything without an answer goes again. */
  rewind(): void {
    this.#isHeld = false
    this.#after = 0
    this.pump()
  }

  /**
   * A push under way is too large for the server, whichever it is: then the largest is. If that is a single write or
   * one group, it can never be sent; otherwise smaller pushes are made.
   */
  tooLarge(): void {
    const pushes = this.#inFlight.map((mutations) => {
      const [first, ...others] = mutations
      const isUnit = others.every(({ group }) => group !== undefined && group === first?.group)
      return { bytes: messageFrame({ type: 'push', mutations: [...mutations] }).byteLength, isUnit }
    })
    const [largest] = pushes.toSorted((a, b) => b.bytes - a.bytes)
    if (largest === undefined || largest.bytes <= pushLimits.leastBytes) return
    if (largest.isUnit) this.#options.replica.lowerPushLimit(largest.bytes - 1)
    else this.#bytes = Math.ceil(largest.bytes / 2)
  }

  stop(): void {
    this.#isStopped = true
    this.#options.watchdog.disarm()
    this.#options.pace.stop()
  }

  #hasMore(): boolean {
    const { replica } = this.#options
    return replica.hasUnsent || replica.lastSyncing > this.#after
  }

  #watch(): void {
    if (this.#inFlight.length === 0) this.#options.watchdog.disarm()
    else this.#options.watchdog.arm()
  }

  async #pump(): Promise<void> {
    this.#isPumping = true
    try {
      while (this.#isDue && !this.#isStopped) {
        this.#isDue = false
        while (await this.#pushNext());
      }
    } catch (error) {
      this.#options.failed(error)
    } finally {
      // In the same turn as the last look at `#isDue`, or a call in between would be forgotten.
      this.#isPumping = false
    }
  }

  async #pushNext(): Promise<boolean> {
    if (this.#isStopped || this.#isHeld || this.#inFlight.length >= pushLimits.inFlight) return false
    if (!this.#hasMore() || !this.#options.pace.take(() => this.pump())) return false
    const run = this.#run
    const mutations = await this.#options.replica.nextPush(pushLimits.mutations, this.#bytes, this.#after)
    if (run !== this.#run) return true
    const last = mutations.at(-1)
    if (last === undefined || this.#isStopped) return false
    this.#after = last.clientSeq
    this.#inFlight.push(mutations)
    this.#watch()
    this.#options.send({ type: 'push', mutations: [...mutations] })
    return true
  }
}
