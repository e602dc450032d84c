import { rowId as idOf } from '../../protocol/rows/row.ts'
import { conflictTable } from '../conflict/conflict.ts'
import { targetOf } from '../conflict/resolution-effect.ts'
import type { RowRef } from '../outbox/row-key.ts'
import type { ReplicaStore, StoredEntry } from '../store/store.ts'
import type { Mirror } from './mirror.ts'
import { fallenWith, mayBeDiscarded } from './plan-parked.ts'
import { lostWrites, type Welcome } from './plan-welcome.ts'
import type { Step } from './step.ts'
import type { CheckedDraft } from './write-draft.ts'

/**
 * Reads rows that the step may touch and that have no pending writes: what the store shows of them is the server's
 * image.
 */
export async function knowRows(step: Step, store: ReplicaStore, refs: readonly RowRef[]): Promise<void> {
  const byTable = new Map<string, Set<string>>()
  for (const ref of refs) {
    if (!step.isKnown(ref)) byTable.set(ref.table, (byTable.get(ref.table) ?? new Set<string>()).add(ref.rowId))
  }
  for (const [table, ids] of byTable) {
    const rows = new Map((await store.rows(table, [...ids])).map((row) => [idOf(row), row]))
    for (const rowId of ids) step.know({ table, rowId }, rows.get(rowId) ?? null)
  }
}

/** Rows of drafts; a `resolve` also shows on the row that its conflict is about. */
export async function knowDrafts(step: Step, store: ReplicaStore, drafts: readonly CheckedDraft[]): Promise<void> {
  const refs = drafts.map(({ table, rowId }) => ({ table: table.name, rowId }))
  await knowRows(step, store, refs)
  const targets = refs.flatMap((ref, index) =>
    drafts[index]?.op === 'resolve' ? (targetOf(step.image(ref)) ?? []) : [],
  )
  await knowRows(step, store, targets)
}

/** Rows of writes that are retried or discarded together. */
export async function knowFallen(step: Step, mirror: Mirror, store: ReplicaStore, id: string): Promise<void> {
  const entry = step.entry(id)
  if (entry === undefined) return
  const fallen = fallenWith(entry, mirror.outbox.entries, mayBeDiscarded)
  await knowWithTargets(step, mirror, store, fallen.flatMap(rowsOf))
}

/** Rows of ended writes that go again. */
export async function knowLost(step: Step, mirror: Mirror, store: ReplicaStore, welcome: Welcome): Promise<void> {
  const refs = lostWrites(mirror, welcome).flatMap(rowsOf)
  await knowWithTargets(
    step,
    mirror,
    store,
    refs.filter(({ table }) => mirror.tables.has(table)),
  )
}

/** The row of a write, and those that a delete or a restore takes along. */
function rowsOf(entry: StoredEntry): readonly RowRef[] {
  const { table, rowId } = entry.mutation
  return [{ table, rowId }, ...('takes' in entry ? (entry.takes ?? []) : [])]
}

/** A `resolve` also shows on the row that its conflict is about. */
async function knowWithTargets(
  step: Step,
  mirror: Mirror,
  store: ReplicaStore,
  refs: readonly RowRef[],
): Promise<void> {
  await knowRows(step, store, refs)
  const targets = refs.flatMap((ref) => (ref.table === conflictTable ? (targetOf(step.image(ref)) ?? []) : []))
  await knowRows(
    step,
    store,
    targets.filter(({ table }) => mirror.tables.has(table)),
  )
}
