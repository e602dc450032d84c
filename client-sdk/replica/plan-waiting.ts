import type { ErrorCode } from '../../protocol/error-codes.ts'
import { rowId as idOf } from '../../protocol/rows/row.ts'
import { keyOf, type RowRef } from '../outbox/row-key.ts'
import { tableOf } from '../store/holding.ts'
import type { OutboxEntry, ReplicaStore } from '../store/store.ts'
import { knowFallen } from './know-rows.ts'
import type { Mirror } from './mirror.ts'
import { planRetry } from './plan-parked.ts'
import type { ReplicaChange } from './replica-change.ts'
import type { Step } from './step.ts'

/** What a write is refused with when a row is missing that it changes or refers to. */
const missingCodes: ReadonlySet<ErrorCode> = new Set(['not_found', 'foreign_key_violated'])

/** The step may have brought a row that a refused write waits for. */
export function concernsWaiting(mirror: Mirror, change: ReplicaChange): boolean {
  const isConcerned = change.tables.size > 0 || change.subscriptions.size > 0 || change.writes.length > 0
  return isConcerned && waitingOf(mirror).length > 0
}

/**
 * After a restoration all devices send again what was lost, each for itself: what builds upon another device's row may
 * come before that row and be refused. Such a write is parked and visible like any other, and goes again when a row
 * comes that was missing here at its refusal. If all are here already, it goes once more, and then stays parked.
 */
export async function planWaiting(
  step: Step,
  mirror: Mirror,
  store: ReplicaStore,
  newId: () => string,
  now: number,
): Promise<void> {
  // What is shown of a channel that is being fetched anew may be of the history that is over.
  if (!mirror.isComplete) return
  for (const entry of waitingOf(mirror)) {
    const { id } = entry.mutation
    // It went again with another one.
    if (step.entry(id)?.status !== 'rejected') continue
    const awaited = entry.awaits ?? null
    const missing = await missingOf(mirror, store, entry)
    if (awaited === null && missing.length > 0) {
      step.put({ ...entry, awaits: missing })
      continue
    }
    const still = new Set(missing.map(keyOf))
    if (awaited?.every((ref) => still.has(keyOf(ref))) === true) continue
    await knowFallen(step, mirror, store, id)
    for (const again of planRetry(step, id, mirror.outbox.entries, newId, now)) {
      const { awaits: _, ...plain } = again
      step.put(awaited === null ? plain : { ...plain, awaits: null })
    }
  }
}

/** The rows that the write changes or refers to, as far as they are not here. */
async function missingOf(
  { tables }: Mirror,
  store: ReplicaStore,
  { mutation: { op, table, rowId, set = {} } }: OutboxEntry,
): Promise<readonly RowRef[]> {
  const { columns } = tableOf(tables, table)
  const refs: RowRef[] = op === 'insert' ? [] : [{ table, rowId }]
  for (const [property, value] of Object.entries(set)) {
    const target = columns[property]?.references
    if (target !== undefined && typeof value === 'string' && tables.has(target))
      refs.push({ table: target, rowId: value })
  }
  const missing: RowRef[] = []
  for (const [name, some] of Map.groupBy(refs, (ref) => ref.table)) {
    const ids = some.map((ref) => ref.rowId)
    const here = new Set((await store.rows(name, ids)).map(idOf))
    missing.push(...some.filter((ref) => !here.has(ref.rowId)))
  }
  return missing
}

function waitingOf({ outbox }: Mirror): readonly OutboxEntry[] {
  return outbox.parked.filter(
    ({ awaits, outcome }) => awaits !== undefined && missingCodes.has(outcome?.error?.code ?? 'internal'),
  )
}
