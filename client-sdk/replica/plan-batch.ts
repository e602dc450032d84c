import { invariant } from '../../lib/invariant.ts'
import { toSeq } from '../../protocol/seq.ts'
import { unpackSentRows } from '../../protocol/rows/block-codec.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import { rowId as idOf, type Row } from '../../protocol/rows/row.ts'
import { conflictTable } from '../conflict/conflict.ts'
import { tableOf } from '../store/holding.ts'
import type { Purge, ReplicaStore, StoreCommit, SubscriptionRecord, Swap } from '../store/store.ts'
import { imagesAfterOutdated, imagesAfterPurge, imagesAfterSwap } from './image-moves.ts'
import { keepUntilHeld } from './keep-until-held.ts'
import type { Mirror } from './mirror.ts'
import { noteColumns } from './note-columns.ts'
import { outdatedBy } from './outdated.ts'
import { endIfOver, planSettled, settledWith } from './plan-outcomes.ts'
import { ofSameKey, purgesOfLeft } from './plan-subscription.ts'
import type { ReceivedBatch } from './received.ts'
import type { TableChange } from './replica-change.ts'
import type { BulkParts, Step } from './step.ts'

/** Above this many rows a change names no rows: a listener does better to read anew. */
export const namedRowsLimit = 5_000

/**
 * One batch as one step: the server's images of rows with pending writes are replaced and those writes laid over them
 * again; all other rows go to the store as they came, packed. The cursor moves in the same commit. Throws when the
 * batch is older than what the replica holds, or cannot be read; then nothing has changed.
 */
export async function planBatch(
  step: Step,
  mirror: Mirror,
  store: ReplicaStore,
  batch: ReceivedBatch,
): Promise<BulkParts> {
  const { cursor } = mirror.meta
  invariant(cursor !== null, 'a batch comes after a welcome')
  invariant(batch.to >= cursor.seq, `batch ${batch.to} is not older than the replica's ${cursor.seq}`)
  const bulk = new Bulk(mirror)
  const swaps = swapsOf(mirror, batch)
  const dropped = batch.leaves.filter(({ revoked }) => revoked).flatMap(({ channel }) => recordsOf(mirror, channel))
  const replaced = replacedBy(mirror, swaps)
  const kept = keptBy(mirror, swaps, [...dropped, ...replaced])
  const purges = [...purgesOf(mirror, batch, dropped), ...purgesOfLeft(replaced, kept)]
  const outdated = await outdatedBy(mirror, store, batch, swaps, kept)
  const resets = batch.resets.filter((table) => mirror.tables.has(table))

  if (swaps.length > 0) await imagesAfterSwap(step, mirror, store, swaps)
  for (const table of resets) {
    for (const [rowId] of mirror.states.of(table)) step.setImage({ table, rowId }, null)
  }
  if (purges.length > 0) await imagesAfterPurge(step, mirror, store, purges)
  if (outdated.length > 0) await imagesAfterOutdated(step, mirror, store, outdated)
  noteColumns(step, mirror, batch.blocks)
  for (const block of batch.blocks) bulk.addBlock(step, block)
  for (const { table, ids } of batch.deletes) bulk.addDeletes(step, table, ids)

  for (const { subscription } of swaps) step.putSubscription({ subscription, state: 'held', from: null, next: null })
  for (const { subscription } of dropped) step.dropSubscription(subscription.id)
  for (const { subscription } of replaced) step.leaveSubscription(subscription.id)
  const settled = settledWith(batch.settled, mirror.outbox, swaps.length > 0 ? mirror.meta.loadedSeq : 0)
  const completed = swaps.map(({ subscription }) => subscription)
  await keepUntilHeld(step, mirror, store, settled, completed)
  planSettled(step, settled)
  endSettledConflicts(step, mirror, bulk)
  step.setMeta({ cursor: { epoch: cursor.epoch, seq: toSeq(batch.to) } })
  for (const { subscription } of swaps) bulk.readAnew(subscription.tables)
  if (purges.length + outdated.length > 0) bulk.readAnew()
  if (resets.length > 0) bulk.readAnew(resets)
  return bulk.parts({
    ...(swaps.length > 0 ? { swaps } : {}),
    ...(dropped.length > 0 ? { unstage: dropped.map(({ subscription }) => subscription.id) } : {}),
    ...(resets.length > 0 ? { resets } : {}),
    ...(purges.length > 0 ? { purges } : {}),
    ...(outdated.length > 0 ? { outdated } : {}),
  })
}

/**
 * One after the other: a row that is gone must not be kept by two of them, each because of the other. A subscription
 * may be named that is not waiting: an `activate` that a proxy repeated is answered twice.
 */
function swapsOf(mirror: Mirror, batch: ReceivedBatch): readonly Swap[] {
  const records = [...mirror.subscriptions.values()]
  const complete = records.filter(
    (record) => record.state === 'staging' && record.next === null && batch.activated.includes(record.subscription.id),
  )
  const held = records.filter((record) => record.state === 'held')
  return complete.map(({ subscription }, index) => ({
    subscription,
    others: [...held, ...complete.slice(0, index)].map((record) => record.subscription),
  }))
}

/** Former subscriptions of the same key: their rows stayed until these were here. */
function replacedBy(mirror: Mirror, swaps: readonly Swap[]): readonly SubscriptionRecord[] {
  const complete = new Set(swaps.map(({ subscription }) => subscription.id))
  return [...complete]
    .flatMap((id) => ofSameKey(mirror, id))
    .filter(({ subscription }) => !complete.has(subscription.id))
}

function keptBy(mirror: Mirror, swaps: readonly Swap[], gone: readonly SubscriptionRecord[]): readonly Subscription[] {
  const held = [...mirror.subscriptions.values()].filter((record) => record.state === 'held' && !gone.includes(record))
  return [...held, ...swaps].map(({ subscription }) => subscription)
}

function recordsOf(mirror: Mirror, channel: string): readonly SubscriptionRecord[] {
  return [...mirror.subscriptions.values()].filter((record) => record.subscription.channel === channel)
}

function purgesOf(mirror: Mirror, batch: ReceivedBatch, dropped: readonly SubscriptionRecord[]): readonly Purge[] {
  const gone = new Set(dropped.map(({ subscription }) => subscription.id))
  const keep = [...mirror.subscriptions.values()]
    .filter((record) => record.state === 'held' && !gone.has(record.subscription.id))
    .map((record) => record.subscription)
  return batch.leaves.map(({ channel }) => ({
    channel,
    keep: keep.filter((subscription) => subscription.channel !== channel),
  }))
}

/** The rows of a batch that no pending write concerns, and what listeners are told of them. */
class Bulk {
  readonly #mirror: Mirror
  readonly #blocks: PackedBlock[] = []
  readonly #rows = new Map<string, { upserts: Row[]; deletes: string[] }>()
  readonly #changes = new Map<string, { upserts: Row[]; deletes: string[] }>()
  readonly #anew = new Set<string>()
  readonly conflicts: Row[] = []
  #named = 0

  constructor(mirror: Mirror) {
    this.#mirror = mirror
  }

  addBlock(step: Step, packed: PackedBlock): void {
    const name = packed.block.table
    // A table of a newer server: nobody here asked for it, and it comes with the bootstrap after an upgrade.
    if (!this.#mirror.tables.has(name)) return
    const states = this.#mirror.states.of(name)
    if (states.size === 0 && name !== conflictTable && this.#named + packed.block.count > namedRowsLimit) {
      this.#anew.add(name)
      this.#blocks.push(packed)
      return
    }
    // Columns that did not travel are left out, not null: the store keeps what it has of them.
    const rows = unpackSentRows(tableOf(this.#mirror.tables, name), packed)
    if (name === conflictTable) this.conflicts.push(...rows)
    const pending = rows.filter((row) => states.has(idOf(row)))
    const others = pending.length === 0 ? rows : rows.filter((row) => !states.has(idOf(row)))
    for (const row of pending) {
      const ref = { table: name, rowId: idOf(row) }
      step.setImage(ref, { ...step.image(ref), ...row })
    }
    if (pending.length === 0) this.#blocks.push(packed)
    else of(this.#rows, name).upserts.push(...others)
    this.#named += others.length
    if (this.#named > namedRowsLimit) this.#anew.add(name)
    else of(this.#changes, name).upserts.push(...others)
  }

  addDeletes(step: Step, table: string, ids: readonly string[]): void {
    if (!this.#mirror.tables.has(table)) return
    const states = this.#mirror.states.of(table)
    for (const rowId of ids) if (states.has(rowId)) step.setImage({ table, rowId }, null)
    const others = ids.filter((id) => !states.has(id))
    of(this.#rows, table).deletes.push(...others)
    of(this.#changes, table).deletes.push(...others)
  }

  readAnew(tables: readonly string[] = [...this.#mirror.tables.keys()]): void {
    for (const table of tables) this.#anew.add(table)
  }

  parts(commit: StoreCommit): BulkParts {
    const tables = new Map<string, TableChange>()
    for (const [table, change] of this.#changes) tables.set(table, { all: false, ...change })
    for (const table of this.#anew) tables.set(table, { all: true })
    return {
      tables,
      commit: {
        ...commit,
        ...(this.#blocks.length > 0 ? { blocks: this.#blocks } : {}),
        rows: [...this.#rows].map(([table, change]) => ({ table, ...change })),
      },
    }
  }
}

function of(
  map: Map<string, { upserts: Row[]; deletes: string[] }>,
  table: string,
): { upserts: Row[]; deletes: string[] } {
  const change = map.get(table) ?? { upserts: [], deletes: [] }
  map.set(table, change)
  return change
}

/** Writes whose losing values were waiting in a conflict end in the batch that brings it settled. */
function endSettledConflicts(step: Step, mirror: Mirror, bulk: Bulk): void {
  const arrived = new Map(bulk.conflicts.map((row) => [idOf(row), row]))
  for (const entry of mirror.outbox.lost) {
    const rowId = entry.outcome?.conflictId ?? ''
    const row = arrived.get(rowId)
    if (row !== undefined) step.know({ table: conflictTable, rowId }, row)
    endIfOver(step, entry.mutation.id)
  }
}
