import type { OutboxEntry } from '../store/store.ts'

/** How far one row is from the server's. */
export interface RowSync {
  readonly status: 'local' | 'syncing' | 'acknowledged' | 'synced' | 'conflict' | 'rejected'
  /** Writes of this device on the row that are under way. */
  readonly pending: number
  readonly conflictId?: string
}

const synced: RowSync = { status: 'synced', pending: 0 }

/** What needs somebody's eye comes first; then what has come least far. */
const order = ['conflict', 'rejected', 'local', 'syncing', 'acknowledged'] as const

/** The status of a row from its writes that have not ended and its open conflict. */
export function rowSync(entries: readonly OutboxEntry[], openConflict: string | undefined): RowSync {
  if (entries.length === 0 && openConflict === undefined) return synced
  const statuses = new Set<string>(entries.map((entry) => entry.status))
  if (openConflict !== undefined) statuses.add('conflict')
  const status = order.find((candidate) => statuses.has(candidate)) ?? 'synced'
  const pending = entries.filter((entry) => entry.status !== 'conflict' && entry.status !== 'rejected').length
  const conflictId = openConflict ?? entries.find((entry) => entry.status === 'conflict')?.outcome?.conflictId
  return conflictId === undefined || status !== 'conflict' ? { status, pending } : { status, pending, conflictId }
}
