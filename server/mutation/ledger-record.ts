import { createHash } from 'node:crypto'
import { storableJson } from '../../protocol/rows/storable-json.ts'
import type { LedgerEntry } from './mutation-store.ts'

/** The last moment of JavaScript's dates; PostgreSQL's go on a little longer. Milliseconds since 1970. */
const latestMs = 8.64e15

/**
 * Ledger rows as JSON. What PostgreSQL stores nowhere (U+0000, halves of surrogate pairs) is U+FFFD in it: a write that
 * is refused for such a character must be recorded all the same, or its device would send it for ever.
 */
export function ledgerRecords(entries: readonly LedgerEntry[]): string {
  return storableJson(entries.map(ledgerRecord))
}

/** A ledger row. What a mutation said is kept only where somebody will want to look: when it was not simply applied. */
function ledgerRecord({ id, mutation, outcome }: LedgerEntry): Readonly<Record<string, unknown>> {
  const text = JSON.stringify([mutation.table, mutation.rowId, mutation.op, mutation.set, mutation.base, mutation.inc])
  const isOpen = outcome.kind === 'conflict' || outcome.kind === 'rejected'
  return {
    id,
    client_seq: mutation.clientSeq,
    batch_id: mutation.group ?? null,
    table_name: mutation.table,
    row_id: mutation.rowId,
    op: mutation.op,
    payload: isOpen && text.length < 100_000 ? { set: mutation.set, base: mutation.base, inc: mutation.inc } : null,
    payload_hash: `\\x${createHash('sha256').update(text).digest('hex')}`,
    status: outcome.kind,
    result_version: outcome.version ?? null,
    conflict_id: outcome.conflictId ?? null,
    error_code: outcome.error?.code ?? null,
    result: outcome,
    client_ms: Math.min(Math.max(mutation.at, 0), latestMs),
  }
}
