import type { Replica } from '../replica/replica.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import { pushLimits } from './connection-options.ts'
import type { Pace } from './pace.ts'
import type { Watchdog } from './watchdog.ts'

export interface PusherOptions {
  readonly replica: Replica
  readonly send: (message: UpOf<'push'>) => void
  /** Writes that the server takes in one push. */
  readonly mutations: number
  readonly failed: (error: unknown) => void
  /** Barks when a push stays without an answer. */
  readonly watchdog: Watchdog
  readonly pace: Pace
}

/**
 * Sends what waits in the outbox, in counter order, with a bounded number of pushes under way: first everything that was
 * sent before and has no answer, then what is new. One of these per connection, so that a new one begins anew.
 */
export class Pusher {
  readonly #options: PusherOptions
  /** Last counter of each push under way. */
  #inFlight: number[] = []
  #after = 0
  /** Counts rewinds: what was asked for before one is not sent after it. */
  #run = 0
  #isPumping = false
  #isDue = false
  #isStopped = false

  constructor(options: PusherOptions) {
    this.#options = options
  }

  get isIdle(): boolean {
    return this.#inFlight.length === 0
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

  /** A push was refused as a whole, and with it those behind it: all of it goes again. */
  rewind(): void {
    this.#inFlight = []
    this.#after = 0
    this.#run += 1
    this.pump()
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
    if (this.#isStopped || this.#inFlight.length >= pushLimits.inFlight) return false
    if (!this.#hasMore() || !this.#options.pace.take(() => this.pump())) return false
    const run = this.#run
    const limit = Math.min(pushLimits.mutations, this.#options.mutations)
    const mutations = await this.#options.replica.nextPush(limit, pushLimits.bytes, this.#after)
    if (run !== this.#run) return true
    const last = mutations.at(-1)
    if (last === undefined || this.#isStopped) return false
    this.#after = last.clientSeq
    this.#inFlight.push(last.clientSeq)
    this.#watch()
    this.#options.send({ type: 'push', mutations: [...mutations] })
    return true
  }
}
