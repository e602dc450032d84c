import { mostAnnounced } from '../../protocol/limits.ts'
import type { CancelTimer, Clock } from '../../lib/clock.ts'
import type { ErrorCode } from '../../protocol/error-codes.ts'
import { TideError } from '../../protocol/error.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import type { Replica } from '../replica/replica.ts'
import type { SubscriptionRecord } from '../store/store.ts'
import { timing } from './connection-options.ts'
import type { Puller } from './puller.ts'

export interface SubscriptionAnnouncerOptions {
  readonly replica: Replica
  readonly clock: Clock
  readonly puller: Puller
  readonly send: (message: UpOf<'subscribe'> | UpOf<'unsubscribe'>) => void
  /** Runs after what came before it is applied. */
  readonly later: (task: () => Promise<void>) => void
  /** Refused for good; null: taken, though it was refused before. */
  readonly refused: (id: string, error: TideError | null) => void
}

interface Announced {
  readonly spec: string
  /** As the server knows it: it sends changes of held ones, and pages of others. */
  isHeld: boolean
}

/** The server will answer the same until something else changes. `lost`: the rows must go too. */
const final: Readonly<Partial<Record<ErrorCode, 'refused' | 'lost'>>> = {
  bad_filter: 'refused',
  bad_message: 'refused',
  unknown_table: 'refused',
  unknown_column: 'refused',
  subscription_limit: 'refused',
  forbidden: 'lost',
}

/** Keeps the server's list of this session's subscriptions equal to the replica's. */
export class SubscriptionAnnouncer {
  readonly #options: SubscriptionAnnouncerOptions
  readonly #announced = new Map<string, Announced>()
  readonly #retries = new Map<string, CancelTimer>()

  constructor(options: SubscriptionAnnouncerOptions) {
    this.#options = options
  }

  /** Announces what is new or was started over, and takes back what is gone. All in one message where it can be. */
  update(): void {
    const { replica, send, puller } = this.#options
    const records = new Map(replica.subscriptions.map((record) => [record.subscription.id, record]))
    for (const id of [...this.#announced.keys()].filter((known) => !records.has(known))) {
      this.#announced.delete(id)
      puller.stop(id)
      send({ type: 'unsubscribe', id })
    }
    const due = [...records.values()].filter((record) => this.#mustAnnounce(record))
    for (let start = 0; start < due.length; start += mostAnnounced) {
      send({
        type: 'subscribe',
        subscriptions: due.slice(start, start + mostAnnounced).map((record) => this.#announce(record)),
      })
    }
  }

  subscribed({ id, error }: DownOf<'subscribed'>): void {
    if (error !== undefined) return this.failed(id, TideError.fromBody(error))
    this.#options.later(() => this.#accepted(id))
    if (this.#announced.get(id)?.isHeld === false) this.#options.puller.start(id)
  }

  /** A subscription was refused, or one of its pages. */
  failed(id: string, error: TideError): void {
    if (!this.#announced.has(id)) return
    const { replica, puller, later, refused, clock } = this.#options
    puller.stop(id)
    const end = final[error.code]
    if (end !== undefined) {
      later(() => (end === 'lost' ? replica.removeSubscription(id) : replica.setRefused(id, true)))
      return refused(id, error)
    }
    if (error.code === 'cursor_ahead') return later(() => replica.refetch(id))
    this.#retries.get(id)?.()
    this.#retries.set(
      id,
      clock.after(error.retryAfterMs ?? timing.retry, () => {
        this.#announced.delete(id)
        this.update()
      }),
    )
  }

  async #accepted(id: string): Promise<void> {
    const { replica, refused } = this.#options
    if (!replica.isRefused(id)) return
    await replica.setRefused(id, false)
    refused(id, null)
  }

  stop(): void {
    for (const cancel of this.#retries.values()) cancel()
    this.#retries.clear()
  }

  #mustAnnounce(record: SubscriptionRecord): boolean {
    const known = this.#announced.get(record.subscription.id)
    if (known === undefined || known.spec !== JSON.stringify(record.subscription)) return true
    if (record.state === 'held') known.isHeld = true
    // It was held and begins anew.
    return known.isHeld && record.state === 'new'
  }

  #announce({ subscription, state }: SubscriptionRecord): Subscription & { readonly held: boolean } {
    const held = state === 'held'
    this.#announced.set(subscription.id, { spec: JSON.stringify(subscription), isHeld: held })
    return { ...subscription, held }
  }
}
