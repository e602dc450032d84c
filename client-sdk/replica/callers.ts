import { isTakenBy } from '../outbox/outbox.ts'
import type { OutboxEntry, ReplicaMeta } from '../store/store.ts'
import type { Mirror } from './mirror.ts'
import type { CheckedDraft } from './write-draft.ts'

/**
 * Whose call a write is, for those who may not learn whether it was carried out: another tab, when the one that has the
 * replica goes away. The number of the last call is committed with its writes, so that the same call never writes
 * twice.
 */
export interface Caller {
  readonly id: string
  /** 1, 2, 3 … of this caller's writes. */
  readonly call: number
}

/** Callers that are remembered; the one that has been silent for longest goes first. */
const maxCallers = 32

export function isDone({ callers }: ReplicaMeta, { id, call }: Caller): boolean {
  return (callers?.[id] ?? 0) >= call
}

export function withCaller({ callers }: ReplicaMeta, { id, call }: Caller): Readonly<Record<string, number>> {
  const others = Object.entries(callers ?? {}).filter(([other]) => other !== id)
  return Object.fromEntries([...others.slice(1 - maxCallers), [id, call]])
}

/** What is left of the writes that these drafts became: the last one of each row, or one that has ended. */
export function entriesOf(mirror: Mirror, drafts: readonly CheckedDraft[]): readonly OutboxEntry[] {
  return drafts.map(({ table, rowId, op }) => {
    const ref = { table: table.name, rowId }
    const mutation = { id: rowId, clientSeq: 0, ...ref, op, at: 0 }
    return (
      mirror.outbox.ofRow(ref).findLast((entry) => !isTakenBy(entry, ref)) ?? {
        position: 0,
        status: 'acknowledged',
        settled: true,
        mutation,
        outcome: { mutationId: rowId, clientSeq: 0, kind: 'noop' },
      }
    )
  })
}
