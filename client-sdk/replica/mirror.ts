import type { Row } from '../../protocol/rows/row.ts'
import { isOwnOpenConflict, toConflict } from '../conflict/conflict.ts'
import { targetOf } from '../conflict/resolution-effect.ts'
import { Outbox } from '../outbox/outbox.ts'
import { keyOf, type RowRef } from '../outbox/row-key.ts'
import { defaultTail, Tail, type TailLimits } from '../outbox/tail.ts'
import type { Tables } from '../store/holding.ts'
import type {
  OutboxEntry,
  ReplicaMeta,
  RowState,
  SyncedEntry,
  StoreCommit,
  StoredState,
  SubscriptionRecord,
} from '../store/store.ts'

/** Rows that differ from what the server says, by table and id. */
export class RowStates {
  readonly #byTable = new Map<string, Map<string, RowState>>()

  get(ref: RowRef): RowState | undefined {
    return this.#byTable.get(ref.table)?.get(ref.rowId)
  }

  /** Of one table, by row id. */
  of(table: string): ReadonlyMap<string, RowState> {
    return this.#byTable.get(table) ?? new Map<string, RowState>()
  }

  get tables(): Iterable<string> {
    return this.#byTable.keys()
  }

  get all(): readonly RowState[] {
    return [...this.#byTable.values()].flatMap((states) => [...states.values()])
  }

  put(state: RowState): void {
    const ofTable = this.#byTable.get(state.table) ?? new Map<string, RowState>()
    this.#byTable.set(state.table, ofTable.set(state.rowId, state))
  }

  delete(ref: RowRef): void {
    const ofTable = this.#byTable.get(ref.table)
    ofTable?.delete(ref.rowId)
    if (ofTable?.size === 0) this.#byTable.delete(ref.table)
  }
}

/** Open conflicts of this device's writes, by conflict and by the row concerned. */
export class OpenConflicts {
  readonly #byId = new Map<string, Row>()
  readonly #byTarget = new Map<string, Set<string>>()

  get size(): number {
    return this.#byId.size
  }

  get rows(): readonly Row[] {
    return [...this.#byId.values()]
  }

  get(id: string): Row | undefined {
    return this.#byId.get(id)
  }

  /** Id of the oldest open conflict of a row. */
  ofRow(ref: RowRef): string | undefined {
    return this.#byTarget.get(keyOf(ref))?.values().next().value
  }

  put(row: Row): void {
    const { id } = toConflict(row)
    this.#byId.set(id, row)
    const key = this.#target(row)
    if (key !== null) this.#byTarget.set(key, (this.#byTarget.get(key) ?? new Set<string>()).add(id))
  }

  delete(id: string): void {
    const row = this.#byId.get(id)
    if (row === undefined) return
    this.#byId.delete(id)
    const key = this.#target(row)
    if (key === null) return
    const ids = this.#byTarget.get(key)
    ids?.delete(id)
    if (ids?.size === 0) this.#byTarget.delete(key)
  }

  #target(row: Row): string | null {
    const target = targetOf(row)
    return target === null ? null : keyOf(target)
  }
}

/**
 * Everything of the store but its rows, in memory. Changed by one rule only: whatever the store has committed is laid
 * on (`apply`), so that after any crash loading gives what was there.
 */
export class Mirror {
  readonly tables: Tables
  readonly outbox = new Outbox()
  readonly tail: Tail
  readonly states = new RowStates()
  readonly conflicts = new OpenConflicts()
  /** Subscriptions that the server refuses for good. Not in the store: the next server may take them. */
  readonly refused = new Set<string>()
  /**
   * Subscriptions that were asked for since the replica was opened: where the server takes only some, these come first.
   */
  readonly wanted = new Set<string>()
  readonly #subscriptions = new Map<string, SubscriptionRecord>()
  #meta: ReplicaMeta

  constructor(tables: Tables, stored: StoredState, limits: TailLimits = defaultTail) {
    this.tables = tables
    this.tail = new Tail(limits)
    this.#meta = stored.meta
    this.apply({
      states: { puts: stored.states, deletes: [] },
      outbox: { puts: stored.outbox.toSorted((a, b) => a.position - b.position), deletes: [] },
      subscriptions: { puts: stored.subscriptions, deletes: [] },
    })
  }

  get meta(): ReplicaMeta {
    return this.#meta
  }

  get subscriptions(): ReadonlyMap<string, SubscriptionRecord> {
    return this.#subscriptions
  }

  /** Nothing more is on its way: every subscription is held, or refused for good. */
  get isComplete(): boolean {
    for (const [id, { state }] of this.#subscriptions) if (state !== 'held' && !this.refused.has(id)) return false
    return true
  }

  apply(commit: StoreCommit): void {
    // States first where they come, last where they go: the outbox asks them which row a `resolve` is about.
    for (const state of commit.states?.puts ?? []) this.states.put(state)
    const pending: OutboxEntry[] = []
    const ended: SyncedEntry[] = []
    for (const entry of commit.outbox?.puts ?? []) {
      if (entry.status === 'synced') ended.push(entry)
      else pending.push(entry)
    }
    const deletes = commit.outbox?.deletes ?? []
    for (const id of [...deletes, ...pending.map(({ mutation }) => mutation.id)]) this.tail.delete(id)
    for (const entry of ended) this.tail.put(entry)
    const over = ended.map(({ mutation }) => mutation.id)
    this.outbox.apply(pending, over.length === 0 ? deletes : [...deletes, ...over], (entry) => this.targetOf(entry))
    for (const ref of commit.states?.deletes ?? []) this.states.delete(ref)
    for (const record of commit.subscriptions?.puts ?? []) this.#subscriptions.set(record.subscription.id, record)
    for (const id of commit.subscriptions?.deletes ?? []) this.#subscriptions.delete(id)
    if (commit.meta !== undefined) this.#meta = { ...this.#meta, ...commit.meta }
  }

  /** Takes what became of rows of sync_conflicts; answers the rows concerned whose open conflict came or went. */
  takeConflicts(upserts: readonly Row[], deletes: readonly string[]): readonly RowRef[] {
    const gone = deletes.map((id) => this.conflicts.get(id)).filter((row) => row !== undefined)
    for (const row of upserts) {
      if (isOwnOpenConflict(row, this.#meta.deviceId)) this.conflicts.put(row)
      else this.conflicts.delete(toConflict(row).id)
    }
    for (const id of deletes) this.conflicts.delete(id)
    return [...upserts, ...gone].flatMap((row) => targetOf(row) ?? [])
  }

  /** The row that a `resolve` shows on besides the conflict itself. */
  targetOf(entry: OutboxEntry): RowRef | null {
    const { op, table, rowId } = entry.mutation
    return op === 'resolve' ? targetOf(this.states.get({ table, rowId })?.serverImage ?? null) : null
  }
}
