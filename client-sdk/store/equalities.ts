import type { Filter } from '../../protocol/rows/filter.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'

/**
 * The columns that every row a filter takes must have one of a few texts in: `{ status: 'open' }`, `{ id: { in: [ … ] } }`.
 * Only columns whose values are equal exactly when their texts are.
 */
export function equalities(table: TableDescriptor, where: Filter): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  for (const [key, condition] of Object.entries(where)) {
    const type = table.columns[key]?.type
    if (type !== 'uuid' && type !== 'text') continue
    const values = valuesOf(condition)
    if (values !== undefined) found.set(key, type === 'uuid' ? values.map((value) => value.toLowerCase()) : values)
  }
  return found
}

function valuesOf(condition: Filter[string]): readonly string[] | undefined {
  if (typeof condition === 'string') return [condition]
  if (typeof condition !== 'object' || condition === null || Array.isArray(condition)) return undefined
  if ('eq' in condition && typeof condition.eq === 'string') return [condition.eq]
  if ('in' in condition && Array.isArray(condition.in) && condition.in.every((value) => typeof value === 'string')) return condition.in
  return undefined
}
