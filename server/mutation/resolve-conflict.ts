import { takeLosing } from '../../protocol/rows/merge-values.ts'
import type { Json, Patch, Row, Value } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { valuesEqual } from '../../protocol/rows/value.ts'
import type { Resolution } from '../../protocol/messages/mutation.ts'
import { checkSent, checkValue } from './check-values.ts'
import { columnRule } from './column-rule.ts'
import { fieldsOf } from './conflict-row.ts'
import { isDeleted } from './decision.ts'
import { refuse, show, type Refusal } from './refusal.ts'
import { mayMove } from './transition.ts'

export interface ResolveInput {
  readonly table: TableDescriptor
  /** The row as it is now. */
  readonly row: Row
  readonly conflict: Row
  readonly resolution: Resolution
  /** For a delete: its time, which is its id. */
  readonly deletedAt: string
}

/** What settling does to the row; `set` may be empty. */
export type Settlement =
  | { readonly kind: 'settle'; readonly set: Patch }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/**
 * Decides what a resolution does to the row of the conflict. The settler saw both sides of the conflict, so these are
 * not merged again. Only the keys and elements beside the conflict are merged against their base.
 */
export function resolveConflict(input: ResolveInput): Settlement {
  const { row, conflict, resolution, deletedAt } = input
  switch (resolution.take) {
    case 'server':
      return { kind: 'settle', set: {} }
    case 'client':
      if (conflict['kind'] === 'update_delete') return { kind: 'settle', set: isDeleted(row) ? {} : { deletedAt } }
      return settle(input, takeMine(input))
    case 'manual':
      return settle(input, resolution.patch)
  }
}

/** The losing values; of an object or a set only what the device had changed in it. */
function takeMine({ table, row, conflict }: ResolveInput): Readonly<Record<string, Json | Float32Array>> {
  const mine = Object.entries(fieldsOf(conflict)).flatMap(([property, field]) => {
    const column = table.columns[property]
    const canonical = (value: Json): Value => {
      const checked = column ? checkValue(table, { ...column, nullable: true }, value) : undefined
      return checked?.kind === 'value' ? checked.value : value
    }
    return column
      ? [
          [
            property,
            takeLosing(column.type, canonical(field.base), canonical(field.mine), row[property] ?? null),
          ] as const,
        ]
      : []
  })
  return Object.fromEntries(mine)
}

/** Checks the values as those of a patch are checked; taking a side of a deleted row brings it back. */
function settle({ table, row, conflict }: ResolveInput, patch: Patch): Settlement {
  const { name } = table
  const deleted = isDeleted(row)
  if (deleted && conflict['kind'] !== 'delete_update') {
    return refused(
      refuse(
        'row_deleted',
        `Row ${show(row['id'])} of ${name} was deleted since.`,
        'Take the server side, or restore the row first.',
      ),
    )
  }
  const set: Record<string, Value> = {}
  for (const [property, value] of Object.entries(patch)) {
    const column = Object.hasOwn(table.columns, property) ? table.columns[property] : undefined
    const sent = checkSent(table, { rowId: '', set: { [property]: value as Json } })
    if (sent.kind === 'refused') return refused(sent.refusal)
    const next = sent.set[property]
    if (!column || next === undefined || valuesEqual(column, next, row[property] ?? null)) continue
    const rule = columnRule(table, column)
    if (rule === 'fixed' || rule === 'counter')
      return refused(refuse('unknown_column', `${name}.${property} cannot be set by settling a conflict.`))
    const from = String(row[property])
    if (property === 'status' && !mayMove(table, from, String(next))) {
      return refused(refuse('transition_refused', `${name}.status cannot move from ${from} to ${String(next)}.`))
    }
    set[property] = next
  }
  if (deleted) set['deletedAt'] = null
  return { kind: 'settle', set }
}

function refused(refusal: Refusal): Settlement {
  return { kind: 'refused', refusal }
}
