import type { OutboxEntry } from '../store/store.ts'
import { patchToWire } from '../outbox/wire-value.ts'
import { applyEffect } from './rebase.ts'
import type { Step } from './step.ts'
import type { CheckedDraft, Written } from './write-draft.ts'

/** Entries of drafts, one each, with the rows that inserts made. Every row concerned must be known to the step. */
export function writtenOf(
  step: Step,
  drafts: readonly CheckedDraft[],
  entries: readonly OutboxEntry[],
  now: number,
): readonly Written[] {
  return entries.map((entry, index) => {
    const draft = drafts[index]
    return { ...entry, row: draft?.op === 'insert' ? rowOf(step, draft, now) : null }
  })
}

/** Written once and gone again, when a call is asked for a second time: as the insert made it. */
function rowOf(step: Step, { table, rowId, set }: CheckedDraft, at: number): Written['row'] {
  const effect = { op: 'insert', rowId, set: patchToWire(set), at } as const
  return step.visible({ table: table.name, rowId }) ?? applyEffect(table, null, effect, step.meta)
}
