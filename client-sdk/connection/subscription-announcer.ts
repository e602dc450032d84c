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
  /** Refused for good; null: taken. */
  readonly refused: (id: string, error: TideError | null) => void
}

interface Announced {
  readonly spec: string
  /** As the server knows it: it sends changes of held ones, and pages of others. */
  isHeld: boolean
  /** Refused for good in this session; `isNoted`: the replica knows. */
  refusal: { readonly code: ErrorCode; isNoted: boolean } | null
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
    const { replica, send } = this.#options
    const records = new Map(replica.subscriptions.map((record) => [record.subscription.id, record]))
    for (const [id, { refusal }] of [...this.#announced]) {
      if (records.has(id)) continue
      this.#takeBack(id)
      if (refusal === null) this.#roomWasMade()
    }
    const due = [...records.values()].filter((record) => this.#mustAnnounce(record))
    // The server may take only some of them: first what somebody asks for now.
    const sorted = due.toSorted((a, b) => this.#rankOf(a) - this.#rankOf(b))
    for (let start = 0; start < sorted.length; start += mostAnnounced) {
      send({
        type: 'subscribe',
        subscriptions: sorted.slice(start, start + mostAnnounced).map((record) => this.#announce(record)),
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
    if (error.code === 'subscription_limit' && replica.isWanted(id) && this.#giveUpAnother(error)) {
      this.#announced.delete(id)
      return this.update()
    }
    const end = final[error.code]
    if (end === 'refused') return this.#refuse(id, error)
    if (end === 'lost') {
      later(() => replica.removeSubscription(id, true))
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
    if (replica.isRefused(id)) await replica.setRefused(id, false)
    refused(id, null)
  }

  /** Asked for again only by the next connection, when somebody wants it, or when there is room. */
  #refuse(id: string, error: TideError): void {
    const { replica, later, refused } = this.#options
    const known = this.#announced.get(id)
    const refusal = { code: error.code, isNoted: false }
    if (known !== undefined) known.refusal = refusal
    later(async () => {
      await replica.setRefused(id, true)
      refusal.isNoted = true
      refused(id, error)
    })
  }

  /**
   * Makes room for what somebody asks for now: another one, that nobody has asked for in this run, is refused instead.
   */
  #giveUpAnother(error: TideError): boolean {
    const { replica, send } = this.#options
    const other = [...this.#announced].find(([id, { refusal }]) => refusal === null && !replica.isWanted(id))
    if (other === undefined) return false
    const [id] = other
    this.#options.puller.stop(id)
    send({ type: 'unsubscribe', id })
    this.#refuse(id, error)
    return true
  }

  #takeBack(id: string): void {
    const { puller, send } = this.#options
    this.#announced.delete(id)
    puller.stop(id)
    send({ type: 'unsubscribe', id })
  }

  #roomWasMade(): void {
    for (const [id, { refusal }] of [...this.#announced])
      if (refusal?.code === 'subscription_limit') this.#announced.delete(id)
  }

  #rankOf({ subscription }: SubscriptionRecord): number {
    return this.#options.replica.isWanted(subscription.id) ? 0 : 1
  }

  stop(): void {
    for (const cancel of this.#retries.values()) cancel()
    this.#retries.clear()
  }

  #mustAnnounce(record: SubscriptionRecord): boolean {
    const known = this.#announced.get(record.subscription.id)
    if (known === undefined || known.spec !== JSON.stringify(record.subscription)) return true
    if (known.refusal !== null) return known.refusal.isNoted && !this.#options.replica.isRefused(record.subscription.id)
    if (record.state === 'held') known.isHeld = true
    // It was held and begins anew.
    return known.isHeld && record.state === 'new'
  }

  #announce({ subscription, state }: SubscriptionRecord): Subscription & { readonly held: boolean } {
    const held = state === 'held'
    this.#announced.set(subscription.id, { spec: JSON.stringify(subscription), isHeld: held, refusal: null })
    return { ...subscription, held }
  }
}
