import type { Filter } from '../../protocol/rows/filter.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'

/**
 * The uuid columns that every row a filter takes must have one of a few values in: `{ projectId }`, `{ id: { in: [ … ]
 * } }`. Texts with few values, such as `status`, are not among them: finding their many rows in an index costs more
 * than a scan.
 */
export function equalities(table: TableDescriptor, where: Filter): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  for (const [key, condition] of Object.entries(where)) {
    if (table.columns[key]?.type !== 'uuid') continue
    const values = valuesOf(condition)
    if (values !== undefined)
      found.set(
        key,
        values.map((value) => value.toLowerCase()),
      )
  }
  return found
}

function valuesOf(condition: Filter[string]): readonly string[] | undefined {
  if (typeof condition === 'string') return [condition]
  if (typeof condition !== 'object' || condition === null || Array.isArray(condition)) return undefined
  if ('eq' in condition && typeof condition.eq === 'string') return [condition.eq]
  if ('in' in condition && Array.isArray(condition.in) && condition.in.every((value) => typeof value === 'string'))
    return condition.in
  return undefined
}
