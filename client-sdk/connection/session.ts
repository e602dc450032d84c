import type { Clock } from '../../lib/clock.ts'
import { Serial } from '../../lib/serial.ts'
import { TideError } from '../../protocol/error.ts'
import type { Down, DownOf } from '../../protocol/messages/down.ts'
import type { Up } from '../../protocol/messages/up.ts'
import type { Parsed } from '../../protocol/parse.ts'
import type { Replica } from '../replica/replica.ts'
import { BatchCollector } from './batch-collector.ts'
import { pushLimits, timing } from './connection-options.ts'
import { SubscriptionAnnouncer } from './subscription-announcer.ts'
import { pageBlocks } from './page-blocks.ts'
import { Pace } from './pace.ts'
import { Puller } from './puller.ts'
import { Pusher } from './pusher.ts'
import { Watchdog } from './watchdog.ts'

export interface SessionOptions {
  readonly replica: Replica
  readonly clock: Clock
  readonly send: (message: Up) => void
  /** A batch or a page could not be applied: only a new connection helps, or everything anew. */
  readonly unappliable: (error: unknown) => void
  /** The server lost the thread, or the replica cannot be written: only a new connection helps. */
  readonly failed: (error: unknown) => void
  /** The server could not do something that nobody waits for. */
  readonly reported: (error: TideError) => void
  /** Another copy of this replica sends under its identity. */
  readonly identityLost: () => void
  /** A batch was applied. */
  readonly applied: () => void
  /** Everything the server had a moment ago is here. */
  readonly current: () => void
  /** A subscription is refused for good; null: it is taken. */
  readonly refused: (subscription: string, error: TideError | null) => void
}

/** What concerns rows, writes and subscriptions; the rest is the connection's own. */
export type SessionMessage = DownOf<'subscribed' | 'page' | 'batch' | 'frontier' | 'outcomes' | 'error'>

/**
 * One greeted connection: brings the replica up to date and keeps it so. What changes the replica runs in the order in
 * which it came, one after another; after the first failure nothing more is applied (a batch must never be applied over
 * one that was not).
 */
export class Session {
  readonly #options: SessionOptions
  readonly #inbox = new Serial()
  readonly #collector = new BatchCollector()
  readonly #announcer: SubscriptionAnnouncer
  readonly #puller: Puller
  readonly #pusher: Pusher
  readonly #stopListening: () => void
  /** Answered before this connection began, but never seen to come back: the first catch-up brings their effects. */
  #unsettled: readonly string[]
  #advancedAt: number
  #isEnded = false

  constructor(options: SessionOptions) {
    const { replica, clock, send } = options
    this.#options = options
    this.#advancedAt = clock.monotonic()
    this.#unsettled = replica
      .writes()
      .filter((entry) => entry.outcome !== null && !entry.settled && entry.status !== 'rejected')
      .map(({ mutation }) => mutation.id)
    const watchdog = (what: string): Watchdog =>
      new Watchdog(clock, timing.answer, () =>
        this.#fail(new TideError('timeout', `The server did not answer a ${what} within ${timing.answer} ms.`)),
      )
    this.#puller = new Puller({ replica, send, watchdog: watchdog('page') })
    this.#pusher = new Pusher({
      replica,
      send,
      failed: (error) => this.#fail(error),
      watchdog: watchdog('push'),
      pace: new Pace(clock, pushLimits.pace),
    })
    this.#announcer = new SubscriptionAnnouncer({
      replica,
      clock,
      send,
      puller: this.#puller,
      later: (task) => this.#later(task),
      refused: options.refused,
    })
    this.#stopListening = replica.onChange((change) => {
      if (change.subscriptions.size > 0) this.#announcer.update()
      if (replica.hasUnsent) this.#pusher.pump()
    })
  }

  start(): void {
    this.#announcer.update()
    this.#pusher.pump()
  }

  receive({ message, sections }: Parsed<Down> & { readonly message: SessionMessage }): void {
    switch (message.type) {
      case 'subscribed':
        return this.#announcer.subscribed(message)
      case 'page':
        return this.#takePage(message, sections)
      case 'batch':
        return this.#takeBatch(message, sections)
      case 'frontier':
        return this.#later(() => this.#reached(message))
      case 'outcomes':
        return this.#later(() => this.#answered(message))
      case 'error':
        return this.#refused(message)
    }
  }

  /** Nothing more is sent or applied after this; resolves when what was being applied is. */
  async end(): Promise<void> {
    this.#isEnded = true
    this.#stopListening()
    this.#announcer.stop()
    this.#puller.stopAll()
    this.#pusher.stop()
    await this.#inbox.idle()
  }

  #takePage(message: DownOf<'page'>, sections: readonly Uint8Array[]): void {
    this.#puller.received(message)
    // Inflated at once, while earlier pages are being stored.
    const blocks = pageBlocks(message, sections)
    blocks.catch(() => undefined)
    this.#apply(async () => this.#puller.stage(message, await blocks))
  }

  #takeBatch(message: DownOf<'batch'>, sections: readonly Uint8Array[]): void {
    const batch = this.#collector.add(message, sections)
    if (batch === null) return
    this.#apply(async () => {
      await this.#options.replica.applyBatch(batch)
      this.#advancedAt = this.#options.clock.monotonic()
      this.#send({ type: 'ack', seq: batch.to })
      this.#options.applied()
    })
  }

  async #reached({ seq, at }: DownOf<'frontier'>): Promise<void> {
    const { replica, clock } = this.#options
    replica.tellTime(at)
    if (this.#unsettled.length > 0 && replica.isComplete) {
      await replica.settle(this.#unsettled)
      this.#unsettled = []
    }
    if (clock.monotonic() - this.#advancedAt >= timing.advance) {
      await replica.advance(seq)
      this.#advancedAt = clock.monotonic()
      this.#send({ type: 'ack', seq })
    }
    this.#options.current()
  }

  async #answered({ outcomes }: DownOf<'outcomes'>): Promise<void> {
    const { identityLost } = await this.#options.replica.applyOutcomes(outcomes)
    if (identityLost)
      this.#fail(
        new TideError('mutation_out_of_order', 'The server knows the writes of this device under other numbers.'),
      )
    else this.#pusher.answered()
  }

  #refused({ subscription, error: body }: DownOf<'error'>): void {
    const error = TideError.fromBody(body)
    if (subscription !== undefined) return this.#announcer.failed(subscription, error)
    if (error.code === 'device_cloned') return this.#options.identityLost()
    // What was on its way behind the refused push finds a gap before it. All of it goes again.
    if (this.#pusher.isHeld) return
    if (error.code === 'mutation_out_of_order') return this.#fail(error)
    // A push that failed as a whole has no name. If it was something else, sending again does no harm.
    if (this.#pusher.isIdle) return this.#options.reported(error)
    if (error.code === 'message_too_large') this.#pusher.tooLarge()
    this.#pusher.hold()
    this.#options.clock.after(error.retryAfterMs ?? timing.retry, () => {
      if (!this.#isEnded) this.#pusher.rewind()
    })
  }

  #later(task: () => Promise<void>, failed = (error: unknown): void => this.#fail(error)): void {
    void this.#inbox.run(async () => {
      if (this.#isEnded) return
      try {
        await task()
      } catch (error) {
        failed(error)
      }
    })
  }

  /** Applies what the server says of rows. */
  #apply(task: () => Promise<void>): void {
    this.#later(task, (error) => {
      if (this.#isEnded) return
      this.#isEnded = true
      this.#options.unappliable(error)
    })
  }

  #send(message: Up): void {
    if (!this.#isEnded) this.#options.send(message)
  }

  #fail(error: unknown): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#options.failed(error)
  }
}
