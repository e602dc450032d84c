import { rowId as idOf, type Row } from '../../protocol/rows/row.ts'
import { invariant } from '../../lib/invariant.ts'
import { resolutionEffects, targetOf } from '../conflict/resolution-effect.ts'
import type { Effect } from '../outbox/effect.ts'
import { isActive, isTakenBy, sizeOf, type OutboxLimits } from '../outbox/outbox.ts'
import { keyOf, type RowRef } from '../outbox/row-key.ts'
import { tableOf } from '../store/holding.ts'
import type {
  OutboxEntry,
  ReplicaMeta,
  RowState,
  SyncedEntry,
  StoreCommit,
  StoredEntry,
  SubscriptionRecord,
} from '../store/store.ts'
import type { Mirror } from './mirror.ts'
import { visibleRow } from './rebase.ts'
import type { ReplicaChange, TableChange, WriteChange } from './replica-change.ts'

export type End = 'synced' | 'discarded'

/** What a step does to the store, and what it tells the listeners once that is done. */
export interface FinishedStep {
  readonly commit: StoreCommit
  readonly change: ReplicaChange
}

/** The parts of a step that do not concern rows with pending writes. */
export interface BulkParts {
  readonly commit?: StoreCommit
  /** Changes of rows that the commit carries packed or by rule, for listeners. */
  readonly tables?: ReadonlyMap<string, TableChange>
}

/**
 * One atomic step in the making: collects what happens to writes and to the server's images of rows, and derives the
 * rest. A row is never edited here: for each row concerned, `finish` lays the writes that are still under way over the
 * server's image again. So the visible state has one definition, whatever led to it.
 */
export class Step {
  readonly #mirror: Mirror
  readonly #entries = new Map<string, OutboxEntry | null>()
  readonly #ends = new Map<string, Pick<WriteChange, 'end' | 'outcome'>>()
  readonly #replacements = new Map<string, string>()
  /** Ids that writes of this step name as their dependencies. */
  readonly #references = new Set<string>()
  readonly #added = new Map<string, Set<string>>()
  readonly #images = new Map<string, Row | null>()
  readonly #dirty = new Map<string, RowRef>()
  readonly #restated = new Map<string, RowRef>()
  readonly #subscriptions = new Map<string, SubscriptionRecord | null>()
  readonly #left = new Set<string>()
  /** Ended writes that are kept, and those that are no longer. */
  readonly #tail = new Map<string, SyncedEntry>()
  readonly #forgotten = new Set<string>()
  readonly #now: number
  #meta: Partial<ReplicaMeta> = {}
  #bulk: BulkParts = {}
  #lastPosition: number

  /** `now` by this device's clock, in milliseconds since 1970. */
  constructor(mirror: Mirror, now: number) {
    this.#mirror = mirror
    this.#now = now
    this.#lastPosition = Math.max(mirror.outbox.lastPosition, mirror.tail.lastPosition)
  }

  get meta(): ReplicaMeta {
    return { ...this.#mirror.meta, ...this.#meta }
  }

  /** How many writes wait, and how long they are as JSON text, as this step leaves them. */
  get outboxSize(): OutboxLimits {
    const { outbox } = this.#mirror
    let { size: writes, bytes } = outbox
    for (const [id, entry] of this.#entries) {
      const before = outbox.get(id)
      writes += Number(entry !== null) - Number(before !== undefined)
      bytes += (entry === null ? 0 : sizeOf(entry)) - (before === undefined ? 0 : sizeOf(before))
    }
    return { writes, bytes }
  }

  entry(id: string): OutboxEntry | undefined {
    const changed = this.#entries.get(id)
    return changed === undefined ? this.#mirror.outbox.get(id) : (changed ?? undefined)
  }

  /** Writes that touch the row, in call order, as this step leaves them. */
  pendingOf(ref: RowRef): readonly OutboxEntry[] {
    const ids = new Set([
      ...this.#mirror.outbox.ofRow(ref).map((entry) => entry.mutation.id),
      ...(this.#added.get(keyOf(ref)) ?? []),
    ])
    const entries = [...ids].flatMap((id) => this.entry(id) ?? [])
    return entries.toSorted((a, b) => a.position - b.position)
  }

  isReferenced(id: string): boolean {
    return this.#references.has(id) || this.#mirror.outbox.isReferenced(id)
  }

  nextPosition(): number {
    return ++this.#lastPosition
  }

  put(entry: OutboxEntry): void {
    const before = this.entry(entry.mutation.id)
    this.#entries.set(entry.mutation.id, entry)
    for (const id of entry.mutation.dependsOn ?? []) this.#references.add(id)
    const isRestacked =
      before === undefined
        ? isActive(entry)
        : isActive(before) !== isActive(entry) || (isActive(entry) && before.mutation !== entry.mutation)
    for (const ref of this.#rowsOf(entry)) {
      if (before === undefined)
        this.#added.set(keyOf(ref), (this.#added.get(keyOf(ref)) ?? new Set<string>()).add(entry.mutation.id))
      this.#touch(ref, isRestacked)
    }
  }

  end(id: string, end: End): void {
    const entry = this.entry(id)
    if (entry === undefined) return
    this.#entries.set(id, null)
    this.#ends.set(id, { end, ...(entry.outcome === null ? {} : { outcome: entry.outcome }) })
    if (end === 'synced') this.#putInTail(entry)
    for (const ref of this.#rowsOf(entry)) this.#touch(ref, isActive(entry))
  }

  /** An ended write is under way again: the server has lost it. */
  reopen({ mutation, position }: SyncedEntry, clientSeq: number): void {
    this.put({
      position,
      status: 'syncing',
      mutation: { ...mutation, clientSeq },
      outcome: null,
      settled: false,
      awaits: null,
    })
  }

  /** No ended write can be sent again any more. */
  forgetEnded(): void {
    for (const id of this.#mirror.tail.ids) this.#forgotten.add(id)
    this.#tail.clear()
  }

  /** The same write goes on under another id. */
  replace(id: string, entry: OutboxEntry): void {
    this.end(id, 'discarded')
    this.#replacements.set(id, entry.mutation.id)
    this.put({ ...entry, formerId: id })
  }

  /** Tells what the store shows of a row: for rows without pending writes that is the server's image. */
  know(ref: RowRef, row: Row | null): void {
    if (this.#mirror.states.get(ref) === undefined && !this.#images.has(keyOf(ref))) this.#images.set(keyOf(ref), row)
  }

  isKnown(ref: RowRef): boolean {
    return this.#images.has(keyOf(ref)) || this.#mirror.states.get(ref) !== undefined
  }

  /** What the server says of the row, as this step leaves it. */
  image(ref: RowRef): Row | null {
    const changed = this.#images.get(keyOf(ref))
    return changed === undefined ? (this.#mirror.states.get(ref)?.serverImage ?? null) : changed
  }

  /** The server has sent the row anew, or taken it away. */
  setImage(ref: RowRef, image: Row | null): void {
    this.#images.set(keyOf(ref), image)
    this.#touch(ref, true)
  }

  /** Writes the row again though its image stays: something else in this step removes or replaces it in the store. */
  rewrite(ref: RowRef): void {
    this.#touch(ref, true)
  }

  visible(ref: RowRef): Row | null {
    const effects = this.pendingOf(ref)
      .filter(isActive)
      .flatMap((entry) => this.#effectsOn(ref, entry))
    return visibleRow(tableOf(this.#mirror.tables, ref.table), this.image(ref), effects, this.meta)
  }

  putSubscription(record: SubscriptionRecord): void {
    this.#subscriptions.set(record.subscription.id, record)
  }

  dropSubscription(id: string): void {
    this.#subscriptions.set(id, null)
  }

  /** Drops one that is not wanted any more, rather than one that was lost. */
  leaveSubscription(id: string): void {
    this.dropSubscription(id)
    this.#left.add(id)
  }

  setMeta(meta: Partial<ReplicaMeta>): void {
    this.#meta = { ...this.#meta, ...meta }
  }

  addBulk(parts: BulkParts): void {
    this.#bulk = parts
  }

  finish(): FinishedStep {
    const parts = this.#bulk
    const states = { puts: [] as RowState[], deletes: [] as RowRef[] }
    const rows = new Map<string, { upserts: Row[]; deletes: string[] }>()
    for (const { table, upserts, deletes } of parts.commit?.rows ?? [])
      rows.set(table, { upserts: [...upserts], deletes: [...deletes] })
    for (const ref of this.#dirty.values()) {
      const key = keyOf(ref)
      invariant(
        this.#images.has(key) || this.#mirror.states.get(ref) !== undefined,
        `the server's image of ${key} is known before it is rebased`,
      )
      if (this.pendingOf(ref).some(isActive)) states.puts.push({ ...ref, serverImage: this.image(ref) })
      else if (this.#mirror.states.get(ref) !== undefined) states.deletes.push(ref)
      const ofTable = rows.get(ref.table) ?? { upserts: [], deletes: [] }
      rows.set(ref.table, ofTable)
      const row = this.visible(ref)
      if (row === null) ofTable.deletes.push(ref.rowId)
      else ofTable.upserts.push(row)
    }
    const commit: StoreCommit = {
      ...parts.commit,
      ...(rows.size > 0 ? { rows: [...rows].map(([table, change]) => ({ table, ...change })) } : {}),
      ...(this.#entries.size + this.#forgotten.size > 0 ? { outbox: this.#outboxChange() } : {}),
      ...(states.puts.length + states.deletes.length > 0 ? { states } : {}),
      ...(this.#subscriptions.size > 0 ? { subscriptions: split(this.#subscriptions) } : {}),
      ...(Object.keys(this.#meta).length > 0 ? { meta: this.#meta } : {}),
    }
    return { commit, change: this.#change(rows, parts.tables ?? new Map<string, TableChange>()) }
  }

  #outboxChange(): { puts: readonly StoredEntry[]; deletes: readonly string[] } {
    const { puts, deletes } = split(this.#entries)
    const ended = [...this.#tail.values()].toSorted((a, b) => a.mutation.clientSeq - b.mutation.clientSeq)
    const overdue = ended.length === 0 ? [] : this.#mirror.tail.overdue(ended, this.#now)
    const gone = new Set([...overdue, ...this.#forgotten])
    const kept = ended.filter(({ mutation }) => !gone.has(mutation.id))
    const stays = new Set(kept.map(({ mutation }) => mutation.id))
    const over = deletes.filter((id) => this.#mirror.outbox.get(id) !== undefined && !stays.has(id))
    return {
      puts: [...puts.toSorted((a, b) => a.position - b.position), ...kept],
      deletes: [...new Set([...over, ...gone])],
    }
  }

  /** Only what the server has taken and answered; a refused write had no effect that could be lost. */
  #putInTail({ mutation, outcome, position }: OutboxEntry): void {
    if (!this.#mirror.tail.isOn || mutation.clientSeq === 0 || outcome === null || outcome.kind === 'rejected') return
    this.#tail.set(mutation.id, { position, status: 'synced', mutation, outcome, settled: true, endedAt: this.#now })
  }

  #change(
    rows: ReadonlyMap<string, { readonly upserts: readonly Row[]; readonly deletes: readonly string[] }>,
    bulk: ReadonlyMap<string, TableChange>,
  ): ReplicaChange {
    const tables = new Map(bulk)
    for (const [table, { upserts, deletes }] of rows) {
      const other = tables.get(table)
      if (other?.all === true) continue
      const touched = new Set([...upserts.map(idOf), ...deletes])
      const upsertsBefore = other?.upserts.filter((row) => !touched.has(idOf(row))) ?? []
      tables.set(table, {
        all: false,
        upserts: [...upsertsBefore, ...upserts],
        deletes: [...(other?.deletes ?? []).filter((id) => !touched.has(id)), ...deletes],
      })
    }
    const states = new Map<string, Set<string>>()
    for (const { table, rowId } of this.#restated.values())
      states.set(table, (states.get(table) ?? new Set<string>()).add(rowId))
    const writes = [...this.#entries].map(([id, entry]) => this.#writeChange(id, entry))
    return { tables, writes, states, subscriptions: new Set(this.#subscriptions.keys()), left: this.#left }
  }

  #writeChange(id: string, entry: OutboxEntry | null): WriteChange {
    if (entry !== null) return { id, entry }
    const replacedBy = this.#replacements.get(id)
    return { id, entry, end: 'synced', ...this.#ends.get(id), ...(replacedBy === undefined ? {} : { replacedBy }) }
  }

  #touch(ref: RowRef, isDirty: boolean): void {
    this.#restated.set(keyOf(ref), ref)
    if (isDirty) this.#dirty.set(keyOf(ref), ref)
  }

  #rowsOf(entry: OutboxEntry): readonly RowRef[] {
    const { id, table, rowId, op } = entry.mutation
    const known = this.#mirror.outbox.rowsOf(id)
    if (known !== undefined) return known
    const own = { table, rowId }
    const target = op === 'resolve' ? targetOf(this.image(own)) : null
    return [own, ...(target === null ? [] : [target]), ...(entry.takes ?? [])]
  }

  #effectsOn(ref: RowRef, entry: OutboxEntry): readonly Effect[] {
    const { table, rowId } = entry.mutation
    if (table === ref.table && rowId === ref.rowId) return [entry.mutation]
    if (isTakenBy(entry, ref)) return [{ op: entry.mutation.op, rowId: ref.rowId, at: entry.mutation.at }]
    return resolutionEffects(entry.mutation, this.image({ table, rowId }))
  }
}

function split<T>(changes: ReadonlyMap<string, T | null>): { puts: readonly T[]; deletes: readonly string[] } {
  return {
    puts: [...changes.values()].filter((value) => value !== null),
    deletes: [...changes].flatMap(([id, value]) => (value === null ? [id] : [])),
  }
}
