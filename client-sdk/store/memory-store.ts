import type { Subscription } from '../../protocol/messages/subscription.ts'
import { isSubChannel } from '../../protocol/rows/channel.ts'
import { rowId, type Row } from '../../protocol/rows/row.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import {
  compileHolds,
  compileMayReach,
  compileReach,
  hangingUnder,
  hangs,
  names,
  parentOf,
  subChannels,
  tableOf,
  tablesOf,
  type Here,
  type Tables,
} from './holding.ts'
import { MemoryStaging } from './memory-staging.ts'
import { MemoryTable } from './memory-table.ts'
import { toBlockRows, type BlockRows } from './block-rows.ts'
import { absentColumns, checkRows } from './prepare-rows.ts'
import {
  emptyMeta,
  type Purge,
  type ReplicaMeta,
  type ReplicaStore,
  type RowState,
  type StoreCommit,
  type StoredEntry,
  type StoredState,
  type SubscriptionRecord,
  type Swap,
} from './store.ts'

/**
 * A replica in memory: rows in maps, vectors in one array per column. It lives as long as the object; `close` does not
 * end it, so that whoever holds it may open the replica again. Rows go in and out without copies: nobody changes them.
 */
export function createMemoryStore(schema: Schema): ReplicaStore {
  const store = new MemoryStore(tablesOf(schema))
  return {
    load: async () => store.load(),
    rows: async (table, ids) => store.rows(table, ids),
    query: async (table, query) => store.table(table).query(query),
    staged: async (subscription, table, ids) => store.staged(subscription, table, ids),
    nearest: async (table, request) => store.table(table).nearest(request),
    commit: async (commit) => {
      // Whatever can fail fails here; what follows the pause cannot, and is done in the order of the calls.
      const prepared = prepare(store.tables, commit)
      await Promise.resolve()
      store.apply(commit, prepared)
    },
    close: async () => {},
  }
}

interface Prepared {
  readonly staged: readonly BlockRows[]
  readonly blocks: readonly BlockRows[]
}

function prepare(tables: Tables, commit: StoreCommit): Prepared {
  for (const { table, upserts } of commit.rows ?? []) checkRows(tableOf(tables, table), upserts)
  for (const table of commit.resets ?? []) tableOf(tables, table)
  return {
    staged: (commit.stage?.blocks ?? []).map((block) => toBlockRows(tables, block)),
    blocks: (commit.blocks ?? []).map((block) => toBlockRows(tables, block)),
  }
}

class MemoryStore {
  readonly tables: Tables
  readonly #data: ReadonlyMap<string, MemoryTable>
  readonly #staging = new Map<string, MemoryStaging>()
  readonly #outbox = new Map<string, StoredEntry>()
  readonly #states = new Map<string, RowState>()
  readonly #subscriptions = new Map<string, SubscriptionRecord>()
  readonly #here: Here = {
    row: (table, id) => this.#data.get(table)?.get(id),
    rows: (table) => this.#data.get(table)?.values() ?? [],
  }
  #meta: ReplicaMeta = emptyMeta

  constructor(tables: Tables) {
    this.tables = tables
    this.#data = new Map([...tables].map(([name, descriptor]) => [name, new MemoryTable(descriptor)]))
  }

  load(): StoredState {
    return {
      meta: this.#meta,
      outbox: [...this.#outbox.values()].sort((a, b) => a.position - b.position),
      states: [...this.#states.values()],
      subscriptions: [...this.#subscriptions.values()],
    }
  }

  table(name: string): MemoryTable {
    return this.#data.get(name) ?? new MemoryTable(tableOf(this.tables, name))
  }

  rows(table: string, ids: readonly string[]): readonly Row[] {
    const data = this.table(table)
    return present(ids.map((id) => data.full(id)))
  }

  staged(subscription: string, table: string, ids: readonly string[]): readonly Row[] {
    return this.#staging.get(subscription)?.rows(table, ids) ?? []
  }

  apply(commit: StoreCommit, prepared: Prepared): void {
    if (commit.stage !== undefined) this.#stage(commit.stage.subscription, prepared.staged)
    for (const subscription of commit.unstage ?? []) this.#staging.delete(subscription)
    for (const swap of commit.swaps ?? []) this.#swap(swap)
    for (const table of commit.resets ?? []) this.table(table).clear()
    for (const purge of commit.purges ?? []) this.#purge(purge)
    for (const { table, ids, held } of commit.outdated ?? []) this.#dropUnder(table, ids, held, held)
    for (const block of prepared.blocks) this.table(block.table.name).putBlock(block)
    for (const { table, upserts, deletes } of commit.rows ?? []) {
      const data = this.table(table)
      for (const row of upserts) data.put(row, absentColumns(data.descriptor, row))
      for (const id of deletes) data.delete(id)
    }
    this.#applyRecords(commit)
  }

  #applyRecords({ outbox, states, subscriptions, meta }: StoreCommit): void {
    for (const entry of outbox?.puts ?? []) this.#outbox.set(entry.mutation.id, entry)
    for (const id of outbox?.deletes ?? []) this.#outbox.delete(id)
    for (const state of states?.puts ?? []) this.#states.set(stateKey(state), state)
    for (const key of states?.deletes ?? []) this.#states.delete(stateKey(key))
    for (const record of subscriptions?.puts ?? []) this.#subscriptions.set(record.subscription.id, record)
    for (const id of subscriptions?.deletes ?? []) this.#subscriptions.delete(id)
    if (meta !== undefined) this.#meta = { ...this.#meta, ...meta }
  }

  #stage(subscription: string, blocks: readonly BlockRows[]): void {
    const staging = this.#staging.get(subscription) ?? new MemoryStaging()
    for (const block of blocks) staging.add(block)
    this.#staging.set(subscription, staging)
  }

  /** All rows are judged before the first one goes, so that each can still be traced to the channel. */
  #swap({ subscription, others }: Swap): void {
    const going = [...this.tables.values()].map((table) => {
      // Nothing comes down for tables that only go up: what is here was written here.
      if (table.direction === 'up' || !names(subscription, table)) return { table: table.name, ids: [] }
      const reached = compileMayReach(this.tables, table, subscription, this.#here)
      const held = compileHolds(this.tables, table, others, this.#here)
      return { table: table.name, ids: this.#select(table.name, (row) => reached(row) && !held(row)) }
    })
    for (const { table, ids } of going) this.#delete(table, ids)
    const staged = this.#staging.get(subscription.id)?.blocks ?? []
    for (const parent of new Set(subChannels(this.tables).values())) {
      const ids = staged.filter(({ table }) => table.name === parent).flatMap(({ rows }) => rows.map(rowId))
      this.#dropUnder(parent, ids, [subscription], others)
    }
    for (const block of staged) this.table(block.table.name).putBlock(block)
    this.#staging.delete(subscription.id)
  }

  /** Rows of tables that one of `naming` names, which hang under these, and that none of `held` holds. */
  #dropUnder(
    parent: string,
    ids: readonly string[],
    naming: readonly Subscription[],
    held: readonly Subscription[],
  ): void {
    if (ids.length === 0) return
    const parents = subChannels(this.tables)
    const above = new Set<string | undefined>(ids)
    const going = hangingUnder(this.tables, parent)
      .filter((table) => naming.some((subscription) => names(subscription, table)))
      .map((table) => {
        const holds = compileHolds(this.tables, table, held, this.#here)
        const hangs = (row: Row): boolean => {
          const ref = parentOf(this.tables, parents, table, row)
          return ref?.table.name === parent && above.has(ref.id)
        }
        return { table: table.name, ids: this.#select(table.name, (row) => hangs(row) && !holds(row)) }
      })
    for (const { table, ids } of going) this.#delete(table, ids)
  }

  /** Parents go before their children, so that children of a parent that went are seen to have none. */
  #purge({ channel, tables, keep }: Purge): void {
    const isSub = isSubChannel(channel)
    for (const table of this.tables.values()) {
      const named = tables === undefined || tables.includes(table.name)
      if (!named && !hangs(table)) continue
      const reach = compileReach(this.tables, channel, this.#here)
      const held = compileHolds(this.tables, table, keep, this.#here)
      const ids = this.#select(table.name, (row) => {
        const reached = reach(table, row)
        return (reached === null || (reached && named)) && ((reached === true && isSub) || !held(row))
      })
      this.#delete(table.name, ids)
    }
  }

  #select(table: string, goes: (row: Row) => boolean): readonly string[] {
    return [...this.table(table).values()].filter(goes).map(rowId)
  }

  #delete(table: string, ids: readonly string[]): void {
    const data = this.table(table)
    for (const id of ids) data.delete(id)
  }
}

function stateKey({ table, rowId }: { readonly table: string; readonly rowId: string }): string {
  return `${table}/${rowId}`
}

function present(rows: readonly (Row | undefined)[]): readonly Row[] {
  return rows.filter((row) => row !== undefined)
}
