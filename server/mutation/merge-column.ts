import type { ColumnDescriptor } from '../../protocol/rows/table.ts'
import type { Value } from '../../protocol/rows/row.ts'
import { isJsonObject } from '../../protocol/rows/json-equal.ts'
import { mergeSets, mergeText3, mergeTopLevel } from '../../protocol/rows/merge-values.ts'
import { valuesEqual } from '../../protocol/rows/value.ts'

/** What becomes of one column: nothing to do, a value to write (`merged`: not as sent), or both sides changed it. */
export type ColumnMerge =
  | { readonly kind: 'same' }
  | { readonly kind: 'write'; readonly value: Value; readonly merged: boolean }
  | { readonly kind: 'conflict'; readonly value: Value }

/**
 * Three-way merge of one column: `base` is what the device saw, `mine` what it wrote, `theirs` what the row has now.
 * A conflict carries the value that can be written all the same: `theirs`, but for jsonb with the top-level keys in it
 * that do not overlap.
 */
export function mergeColumn(
  column: ColumnDescriptor,
  lines: boolean,
  base: Value,
  mine: Value,
  theirs: Value,
): ColumnMerge {
  if (valuesEqual(column, mine, theirs) || valuesEqual(column, mine, base)) return { kind: 'same' }
  if (valuesEqual(column, base, theirs)) return { kind: 'write', value: mine, merged: false }
  if (lines && typeof base === 'string' && typeof mine === 'string' && typeof theirs === 'string') {
    const merge = mergeText3(base, mine, theirs)
    return 'text' in merge ? write(column, merge.text, theirs) : { kind: 'conflict', value: theirs }
  }
  if (column.type === 'text[]' && isTexts(base) && isTexts(mine) && isTexts(theirs)) {
    return write(column, mergeSets(base, mine, theirs), theirs)
  }
  if (column.type === 'jsonb' && isJsonObject(base) && isJsonObject(mine) && isJsonObject(theirs)) {
    const { value, conflicts } = mergeTopLevel(base, mine, theirs)
    return conflicts.length > 0 ? { kind: 'conflict', value } : write(column, value, theirs)
  }
  return { kind: 'conflict', value: theirs }
}

function write(column: ColumnDescriptor, value: Value, theirs: Value): ColumnMerge {
  return valuesEqual(column, value, theirs) ? { kind: 'same' } : { kind: 'write', value, merged: true }
}

function isTexts(value: Value): value is readonly string[] {
  return Array.isArray(value)
}
