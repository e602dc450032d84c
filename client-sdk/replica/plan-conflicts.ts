import { errorCodes } from '../../protocol/error-codes.ts'
import { rowId as idOf } from '../../protocol/rows/row.ts'
import { conflictTable } from '../conflict/conflict.ts'
import type { OutboxEntry, ReplicaStore } from '../store/store.ts'
import type { Mirror } from './mirror.ts'
import type { ReplicaChange } from './replica-change.ts'
import type { Step } from './step.ts'

/** The step may have brought or taken a conflict that a write of this device waits for. */
export function concernsConflicts(mirror: Mirror, change: ReplicaChange): boolean {
  const isConcerned =
    change.tables.has(conflictTable) ||
    change.subscriptions.size > 0 ||
    change.writes.some(({ entry }) => entry?.status === 'conflict')
  return isConcerned && mirror.outbox.lost.length > 0
}

/**
 * Says of each write that lost where its conflict is, as of what the store shows after a step: the store alone knows
 * which rows a swap or a purge took. A conflict that is here and settled ends the write. One that is not here, though
 * nothing that could bring it is on its way, can be neither seen nor settled by this replica: the write is parked, with
 * its values, and says so. If the conflict comes (back), the write waits for it again.
 */
export async function planConflicts(step: Step, mirror: Mirror, store: ReplicaStore): Promise<void> {
  const { lost } = mirror.outbox
  if (lost.length === 0 || !mirror.tables.has(conflictTable)) return
  const ids = lost.map(conflictIdOf)
  const rows = new Map((await store.rows(conflictTable, ids)).map((row) => [idOf(row), row]))
  for (const entry of lost) {
    const rowId = conflictIdOf(entry)
    step.know({ table: conflictTable, rowId }, rows.get(rowId) ?? null)
    const conflict = step.image({ table: conflictTable, rowId })
    if (conflict === null) {
      if (mirror.isComplete && entry.settled && entry.status === 'conflict') step.put(parked(entry))
    } else if (conflict['status'] !== 'open') {
      if (entry.settled) step.end(entry.mutation.id, 'synced')
    } else if (entry.status === 'rejected') {
      step.put(waiting(entry))
    }
  }
}

function conflictIdOf(entry: OutboxEntry): string {
  return entry.outcome?.conflictId ?? ''
}

function parked(entry: OutboxEntry): OutboxEntry {
  const { outcome, mutation } = entry
  if (outcome === null) return entry
  const code = 'conflict_unreachable'
  const message = `Write ${mutation.id} to ${mutation.table} ${mutation.rowId} lost to another one, and its conflict ${conflictIdOf(entry)} is out of reach of this replica.`
  return {
    ...entry,
    status: 'rejected',
    outcome: { ...outcome, error: { code, message, remedy: errorCodes[code].remedy } },
  }
}

function waiting(entry: OutboxEntry): OutboxEntry {
  if (entry.outcome === null) return entry
  const { error: _, ...outcome } = entry.outcome
  return { ...entry, status: 'conflict', outcome }
}
