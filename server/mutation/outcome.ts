import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { Refusal } from './refusal.ts'

type Named = Pick<Mutation, 'id' | 'clientSeq'>
type Made = Pick<Mutation, 'id' | 'clientSeq' | 'op'>

export function rejectedOutcome({ id, clientSeq }: Named, error: Refusal): Outcome {
  return { mutationId: id, clientSeq, kind: 'rejected', error }
}

/** `columns`: values that were not taken as sent. */
export function takenOutcome(
  { id, clientSeq, op }: Made,
  kind: 'applied' | 'merged' | 'noop',
  row: Row | null | undefined,
  columns: readonly string[] = [],
): Outcome {
  return {
    mutationId: id,
    clientSeq,
    kind,
    ...versionOf(row),
    ...columnsOf(columns),
    ...(op === 'insert' ? heirOf(row) : {}),
  }
}

export function conflictOutcome(
  { id, clientSeq }: Named,
  row: Row | null | undefined,
  conflictId: string,
  columns: readonly string[],
): Outcome {
  return { mutationId: id, clientSeq, kind: 'conflict', ...versionOf(row), conflictId, ...columnsOf(columns) }
}

function versionOf(row: Row | null | undefined): { readonly version?: number } {
  const version = row?.['version']
  return typeof version === 'number' ? { version } : {}
}

/** What was remembered already stands for what has just been remembered again. */
function heirOf(row: Row | null | undefined): { readonly standsFor?: string } {
  const heir = row?.['supersededById']
  return typeof heir === 'string' ? { standsFor: heir } : {}
}

function columnsOf(columns: readonly string[]): { readonly columns?: string[] } {
  return columns.length === 0 ? {} : { columns: [...columns] }
}
