import type { DownOf } from '../../protocol/messages/down.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Replica } from '../replica/replica.ts'
import type { Watchdog } from './watchdog.ts'

export interface PullerOptions {
  readonly replica: Replica
  readonly send: (message: UpOf<'page'> | UpOf<'activate'>) => void
  /** Barks when no page comes though some are asked for. */
  readonly watchdog: Watchdog
}

/** Subscriptions that are fetched at the same time; the others wait. */
const concurrent = 2
/** Pages of one subscription that may wait to be stored before no further one is asked for. */
const maxUnstaged = 3

interface Pull {
  /** Pages received and not stored yet. */
  unstaged: number
  /** Token of a page that is to be asked for when there is room. */
  due: string | null
}

/**
 * Fetches the full state of subscriptions page by page. The next page is asked for before the last one is stored; what
 * is stored survives a lost connection, and the next one goes on from there.
 */
export class Puller {
  readonly #options: PullerOptions
  readonly #active = new Map<string, Pull>()
  readonly #queue = new Set<string>()

  constructor(options: PullerOptions) {
    this.#options = options
  }

  /** Starts, or starts over, to fetch a subscription that the server has taken. */
  start(id: string): void {
    this.stop(id)
    this.#queue.add(id)
    this.#next()
  }

  stop(id: string): void {
    this.#queue.delete(id)
    this.#active.delete(id)
    this.#watch()
    this.#next()
  }

  stopAll(): void {
    this.#queue.clear()
    this.#active.clear()
    this.#watch()
  }

  /** A page has come; at once, before it is stored. */
  received({ subscription, next }: DownOf<'page'>): void {
    const pull = this.#active.get(subscription)
    if (pull === undefined) return
    pull.unstaged += 1
    this.#watch()
    if (next === null) return
    if (pull.unstaged < maxUnstaged) this.#ask(subscription, next)
    else pull.due = next
  }

  /** Stores a page. Called in the order in which pages came. */
  async stage(message: DownOf<'page'>, blocks: readonly PackedBlock[]): Promise<void> {
    const { subscription: id, from, next } = message
    const pull = this.#active.get(id)
    if (pull === undefined) return
    await this.#options.replica.stagePage(id, { from, next, blocks })
    if (this.#active.get(id) !== pull) return
    pull.unstaged -= 1
    if (pull.due !== null) this.#ask(id, pull.due)
    pull.due = null
    if (next === null) this.#finish(id)
  }

  #next(): void {
    for (const id of this.#queue) {
      if (this.#active.size >= concurrent) return
      this.#queue.delete(id)
      this.#begin(id)
    }
  }

  #begin(id: string): void {
    const record = this.#options.replica.subscriptions.find(({ subscription }) => subscription.id === id)
    if (record === undefined || record.state === 'held') return
    this.#active.set(id, { unstaged: 0, due: null })
    if (record.state === 'staging' && record.next === null) this.#finish(id)
    else this.#ask(id, record.next)
  }

  #ask(id: string, after: string | null): void {
    this.#options.send({ type: 'page', subscription: id, after })
    this.#watch()
  }

  #watch(): void {
    if (this.#active.size === 0) this.#options.watchdog.disarm()
    else this.#options.watchdog.arm()
  }

  #finish(id: string): void {
    const record = this.#options.replica.subscriptions.find(({ subscription }) => subscription.id === id)
    if (record?.from != null) this.#options.send({ type: 'activate', subscription: id, from: record.from })
    this.stop(id)
  }
}
