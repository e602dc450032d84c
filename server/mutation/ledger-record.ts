import { createHash } from 'node:crypto'
import type { LedgerEntry } from './mutation-store.ts'

/** A ledger row. What a mutation said is kept only where somebody will want to look: when it was not simply applied. */
export function ledgerRecord({ id, mutation, outcome }: LedgerEntry): Readonly<Record<string, unknown>> {
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
    client_ms: mutation.at,
  }
}
