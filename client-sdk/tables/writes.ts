import type { Json } from '../../protocol/rows/row.ts'
import type { Outcome } from '../../protocol/messages/mutation.ts'
import type { OutboxEntry } from '../store/store.ts'
import type { Write } from './write.ts'

/** A write that has not ended: what it wants, how far it is, and why it was refused, if it was. */
export interface PendingWrite {
  readonly id: string
  readonly status: OutboxEntry['status']
  /** SQL name. */
  readonly table: string
  readonly rowId: string
  readonly op: OutboxEntry['mutation']['op']
  readonly set: Readonly<Record<string, Json>>
  readonly inc: Readonly<Record<string, number>>
  readonly outcome: Outcome | null
  /** ISO time of the call on this device. */
  readonly at: string
}

/** What `writes` needs of the replica. */
export interface WritesSource {
  writes(): readonly OutboxEntry[]
  retry(id: string): Promise<Write>
  discard(id: string): Promise<void>
}

/** The writes of this replica that are not synced yet, refused ones included: nothing is dropped without being told. */
export class Writes {
  readonly #source: WritesSource

  constructor(source: WritesSource) {
    this.#source = source
  }

  find(
    query: { readonly status?: OutboxEntry['status'] | readonly OutboxEntry['status'][] } = {},
  ): Promise<readonly PendingWrite[]> {
    const wanted = query.status === undefined ? null : new Set([query.status].flat())
    return Promise.resolve(
      this.#source
        .writes()
        .filter(({ status }) => wanted === null || wanted.has(status))
        .map(toPendingWrite),
    )
  }

  /**
   * Sends a refused write again, under a new id, and those that fell with it. Answers the write: the one that the call
   * which made it answered, if that was on this client.
   */
  retry(id: string): Promise<Write> {
    return this.#source.retry(id)
  }

  /** Gives a write up: its row is shown as the server has it. Writes that depend on it are given up too. */
  discard(id: string): Promise<void> {
    return this.#source.discard(id)
  }
}

function toPendingWrite({ mutation, status, outcome }: OutboxEntry): PendingWrite {
  return {
    id: mutation.id,
    status,
    table: mutation.table,
    rowId: mutation.rowId,
    op: mutation.op,
    set: mutation.set ?? {},
    inc: mutation.inc ?? {},
    outcome,
    at: new Date(mutation.at).toISOString(),
  }
}
