import { checkFilter } from './filter-check.ts'
import type { OperatorName } from './filter-operand.ts'
import type { Filter } from './filter.ts'
import type { Json } from './row.ts'
import type { ColumnDescriptor, TableDescriptor } from './table.ts'

/** One comparison of a column. */
export interface Condition {
  readonly kind: 'condition'
  readonly property: string
  readonly column: ColumnDescriptor
  readonly operator: OperatorName
  readonly operand: Json
}

/** A filter without its short forms: what the matcher and the SQL are made from. */
export type FilterTree =
  | { readonly kind: 'and' | 'or'; readonly parts: readonly FilterTree[] }
  | { readonly kind: 'not'; readonly part: FilterTree }
  | Condition

/** Checks a filter and spells it out. Throws `TideError` `bad_filter`. */
export function filterTree(table: TableDescriptor, filter: Filter): FilterTree {
  return treeOf(table, checkFilter(table, filter))
}

function treeOf(table: TableDescriptor, filter: Filter): FilterTree {
  return all(
    Object.entries(filter).map(([key, part]): FilterTree => {
      if (key === 'and' || key === 'or')
        return { kind: key, parts: (part as readonly Filter[]).map((each) => treeOf(table, each)) }
      if (key === 'not') return { kind: 'not', part: treeOf(table, part as Filter) }
      return all(conditionsOf(table, key, part as Json | Readonly<Record<OperatorName, Json>>))
    }),
  )
}

function conditionsOf(
  table: TableDescriptor,
  property: string,
  part: Json | Readonly<Record<OperatorName, Json>>,
): Condition[] {
  const column = table.columns[property]
  if (!column) return []
  const condition = (operator: OperatorName, operand: Json): Condition => ({
    kind: 'condition',
    property,
    column,
    operator,
    operand,
  })
  if (part === null) return [condition('isNull', true)]
  if (typeof part !== 'object') return [condition('eq', part)]
  return Object.entries(part).map(([operator, operand]) => condition(operator as OperatorName, operand))
}

function all(parts: readonly FilterTree[]): FilterTree {
  const [only] = parts
  return parts.length === 1 && only ? only : { kind: 'and', parts }
}
