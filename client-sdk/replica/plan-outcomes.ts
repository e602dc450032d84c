import type { Outcome } from '../../protocol/messages/mutation.ts'
import { errorCodes } from '../../protocol/error-codes.ts'
import { conflictTable } from '../conflict/conflict.ts'
import { closureOf } from '../outbox/depends.ts'
import type { Outbox } from '../outbox/outbox.ts'
import type { OutboxEntry } from '../store/store.ts'
import type { Step } from './step.ts'

/** Codes that say that the server knows this device under another history: nothing was decided about the write. */
const identityCodes: ReadonlySet<string> = new Set(['device_cloned', 'mutation_out_of_order'])

/** The answer leaves the write unsent: it has to go again, maybe under another identity. */
export function isIdentityProblem(outcome: Outcome): boolean {
  return outcome.kind === 'rejected' && identityCodes.has(outcome.error?.code ?? '')
}

/**
 * Takes the server's answers. A repeat of an answer, or one to a write that has ended, changes nothing. With a refused
 * write everything unsent that depends on it is parked too: the server would only refuse it later.
 */
export function planOutcomes(step: Step, outcomes: readonly Outcome[], entries: readonly OutboxEntry[]): void {
  const refused: string[] = []
  for (const outcome of outcomes) {
    const entry = step.entry(outcome.mutationId)
    if (entry === undefined || entry.outcome !== null || isIdentityProblem(outcome)) continue
    switch (outcome.kind) {
      case 'rejected':
        step.put({ ...entry, status: 'rejected', outcome })
        refused.push(outcome.mutationId)
        break
      case 'conflict':
        step.put({ ...entry, status: 'conflict', outcome })
        endIfOver(step, outcome.mutationId)
        break
      case 'applied':
      case 'merged':
      case 'noop':
        step.put({ ...entry, status: 'acknowledged', outcome })
        endIfOver(step, outcome.mutationId)
        break
    }
  }
  if (refused.length > 0) parkDependants(step, refused, entries)
}

/**
 * The named writes and all that this device sent before them: the server applies a device's writes in counter order, so
 * a batch that holds one holds those before it, named or not (their mark may lie before the position a session began
 * at). `loaded`: so do channels that were loaded after the server had taken the write of this number, whose mark may be
 * pruned.
 */
export function settledWith(named: readonly string[], outbox: Outbox, loaded: number): readonly string[] {
  const last = named.reduce((highest, id) => Math.max(highest, outbox.get(id)?.mutation.clientSeq ?? 0), loaded)
  if (last === 0) return []
  return outbox.sent
    .filter(({ mutation }) => mutation.clientSeq > 0 && mutation.clientSeq <= last)
    .map(({ mutation }) => mutation.id)
}

/** The batch that carries the effects of these writes, if they have any, is part of this step. */
export function planSettled(step: Step, ids: readonly string[]): void {
  for (const id of ids) {
    const entry = step.entry(id)
    if (entry === undefined || entry.settled || entry.status === 'local' || entry.status === 'rejected') continue
    step.put({ ...entry, settled: true })
    endIfOver(step, id)
  }
}

/**
 * Ends a write of which nothing is left to tell: its effect is here, it has an answer, and no conflict of it is open.
 */
export function endIfOver(step: Step, id: string): void {
  const entry = step.entry(id)
  if (entry === undefined || !entry.settled || entry.outcome === null) return
  if (entry.status === 'acknowledged') step.end(id, 'synced')
  if (entry.status !== 'conflict') return
  const { conflictId } = entry.outcome
  if (conflictId === undefined) return step.end(id, 'synced')
  const conflict = step.image({ table: conflictTable, rowId: conflictId })
  if (conflict !== null && conflict['status'] !== 'open') step.end(id, 'synced')
}

/** Parks what was never sent and depends on refused writes: the server would only refuse it too. */
export function parkDependants(step: Step, refused: readonly string[], entries: readonly OutboxEntry[]): void {
  const fallen = closureOf(refused, entries, (entry) => step.entry(entry.mutation.id)?.status === 'local')
  for (const id of fallen) {
    const entry = step.entry(id)
    if (entry?.status !== 'local') continue
    const message = `Write ${id} was not sent, because write ${refused.join(' or ')} before it was refused.`
    const error = { code: 'dependency_rejected' as const, message, remedy: errorCodes.dependency_rejected.remedy }
    step.put({ ...entry, status: 'rejected', outcome: { mutationId: id, clientSeq: 0, kind: 'rejected', error } })
  }
}
