import type { Outcome } from '../../protocol/messages/mutation.ts'
import { TideError } from '../../protocol/error.ts'
import type { ReplicaChange, WriteEnd } from '../replica/replica-change.ts'
import type { OutboxEntry } from '../store/store.ts'

export type WriteStatus = OutboxEntry['status'] | 'synced' | 'discarded'

/** One write of this device and what becomes of it. It is durable here before the call that made it returns. */
export interface Write {
  /** Another one after a retry, and on a device that took a new identity. */
  readonly id: string
  readonly status: WriteStatus
  /**
   * Resolves when the server has answered (`acknowledged`), or when this replica has seen the write come back
   * (`synced`). Rejects with the outcome's error if the write is refused, with `not_found` if it is discarded, when the
   * server refuses this client for good (`status.connection` is `stopped`), and when `signal` aborts. A conflict counts
   * as acknowledged; `synced` then waits until the conflict is settled.
   */
  wait(until: 'acknowledged' | 'synced', options?: { readonly signal?: AbortSignal }): Promise<void>
  /** The server's final answer. Pending while offline. After a retry this is the answer to come. */
  readonly outcome: Promise<Outcome>
}

/**
 * Follows writes from call to end, also where one goes on under another id (a retry, a device with a new identity).
 * Holds only writes that someone still can ask about and that have not ended: a handle keeps its own end.
 */
export class WriteTracker {
  readonly #open = new Map<string, TrackedWrite>()
  readonly #stopped: () => TideError | null

  /** `stopped`: why the server will not have this client any more; null while it may. */
  constructor(stopped: () => TideError | null) {
    this.#stopped = stopped
  }

  take(change: ReplicaChange): void {
    for (const { id, entry, end, outcome, replacedBy } of change.writes) {
      const write = this.#open.get(id)
      if (write === undefined) continue
      if (entry !== null) {
        write.moved(entry)
        continue
      }
      this.#open.delete(id)
      if (replacedBy === undefined) write.ended(end ?? 'discarded', outcome)
      else this.#open.set(replacedBy, write.renamed(replacedBy))
    }
  }

  follow(entry: OutboxEntry): Write {
    const known = this.#open.get(entry.mutation.id)
    if (known !== undefined) return known
    const write = new TrackedWrite(entry, this.#stopped)
    // A row deleted before its insert was ever sent: both writes have ended already.
    if (entry.settled && entry.outcome !== null) write.ended('synced')
    else this.#open.set(write.id, write)
    return write
  }

  /**
   * The server will not have this client any more: those who wait are told; the writes stay, for a later connection.
   */
  interrupt(): void {
    for (const write of this.#open.values()) write.look()
  }

  /** The client closes: nobody will learn more. */
  close(): void {
    for (const write of this.#open.values()) write.abandoned()
    this.#open.clear()
  }
}

class TrackedWrite implements Write {
  #id: string
  #status: WriteStatus
  #answer: Outcome | null = null
  #outcome = unanswered()
  readonly #waiting = new Set<() => void>()
  readonly #stopped: () => TideError | null
  #failure: TideError | null = null

  constructor(entry: OutboxEntry, stopped: () => TideError | null) {
    this.#id = entry.mutation.id
    this.#status = entry.status
    this.#stopped = stopped
    if (entry.outcome !== null) this.#answered(entry.outcome)
  }

  get id(): string {
    return this.#id
  }

  get status(): WriteStatus {
    return this.#status
  }

  get outcome(): Promise<Outcome> {
    return this.#outcome.promise
  }

  /** The same write goes on under another id. */
  renamed(id: string): this {
    this.#id = id
    return this
  }

  moved(entry: OutboxEntry): void {
    this.#status = entry.status
    if (entry.outcome !== null) this.#answered(entry.outcome)
    else if (this.#answer !== null) this.#goesAgain()
    this.look()
  }

  ended(end: WriteEnd, outcome?: Outcome): void {
    if (outcome) this.#answered(outcome)
    if (end === 'unknown')
      this.#fail(
        new TideError(
          'closed',
          `The tab that had the replica is gone, and what became of write ${this.id} is not known.`,
          {
            remedy: 'Look at the row; keep some ended writes (`keepSettled`) to be told.',
          },
        ),
      )
    else this.#status = end
    if (end === 'discarded')
      this.#fail(
        new TideError('not_found', `Write ${this.id} was discarded before the server answered.`, {
          remedy: 'Nothing to do: its effect is gone from this replica.',
        }),
      )
    this.look()
  }

  /** Something may have come that somebody waits for. */
  look(): void {
    for (const wake of [...this.#waiting]) wake()
  }

  abandoned(): void {
    this.#fail(
      new TideError('closed', `The client was closed while write ${this.id} was ${this.#status}.`, {
        remedy: 'Open the replica again: the write is kept and will be sent.',
      }),
    )
    this.look()
  }

  async wait(until: 'acknowledged' | 'synced', options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options
    for (;;) {
      signal?.throwIfAborted()
      if (this.#failure !== null) throw this.#failure
      if (this.#status === 'rejected') throw this.#refusal()
      if (this.#status === 'synced' || (until === 'acknowledged' && this.#answer !== null)) return
      const stopped = this.#stopped()
      if (stopped !== null) throw stopped
      await this.#next(signal)
    }
  }

  #next(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal?.addEventListener('abort', wake)
    })
  }

  #answered(outcome: Outcome): void {
    this.#answer = outcome
    this.#outcome.resolve(outcome)
  }

  /** It was retried, or the server has lost it: another answer will come. */
  #goesAgain(): void {
    this.#answer = null
    this.#outcome = unanswered()
  }

  #fail(error: TideError): void {
    this.#failure = error
    this.#outcome.reject(error)
  }

  #refusal(): TideError {
    const error = this.#answer?.error
    return error === undefined
      ? new TideError('internal', `Write ${this.id} was refused without a reason.`)
      : TideError.fromBody(error)
  }
}

/** Nobody has to look at an outcome: a write that fails while no one asks is no unhandled rejection. */
function unanswered(): PromiseWithResolvers<Outcome> {
  const outcome = Promise.withResolvers<Outcome>()
  outcome.promise.catch(() => undefined)
  return outcome
}
