// A store that remembers what it held after every commit: whatever a replica shows to anybody is one of these states.
import type { Row } from '../../protocol/rows/row.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Cursor } from '../../protocol/seq.ts'
import type { ReplicaStore, SubscriptionRecord } from '../../client-sdk/store/store.ts'

export interface StoredMoment {
  readonly cursor: Cursor
  /** What it holds in full; others are being fetched. */
  readonly held: readonly Subscription[]
  /** Something is fetched anew that was held before: its old rows may still be here. */
  readonly hasOldRows: boolean
  /** Deleted ones too, by SQL name of their table. */
  readonly rows: ReadonlyMap<string, readonly Row[]>
}

export class WatchedStore {
  readonly store: ReplicaStore
  readonly moments: StoredMoment[] = []
  readonly #records = new Map<string, SubscriptionRecord>()
  readonly #lapsed = new Set<string>()
  #cursor: Cursor | null = null

  constructor(store: ReplicaStore, tables: readonly string[]) {
    this.store = {
      ...store,
      commit: async (commit) => {
        await store.commit(commit)
        const rows = await Promise.all(tables.map((table) => store.query(table, { withDeleted: true })))
        for (const record of commit.subscriptions?.puts ?? []) this.#put(record)
        for (const id of commit.subscriptions?.deletes ?? []) {
          this.#records.delete(id)
          this.#lapsed.delete(id)
        }
        if (commit.meta?.cursor) this.#cursor = commit.meta.cursor
        if (this.#cursor === null) return
        const held = [...this.#records.values()]
          .filter(({ state }) => state === 'held')
          .map(({ subscription }) => subscription)
        const byTable = new Map(tables.map((table, index) => [table, rows[index] ?? []]))
        this.moments.push({ cursor: this.#cursor, held, hasOldRows: this.#lapsed.size > 0, rows: byTable })
      },
    }
  }

  #put(record: SubscriptionRecord): void {
    const { id } = record.subscription
    if (record.state === 'held') this.#lapsed.delete(id)
    else if (this.#records.get(id)?.state === 'held') this.#lapsed.add(id)
    this.#records.set(id, record)
  }
}
