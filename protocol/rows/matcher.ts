import { compareOf, compareText, type Compare } from './compare.ts'
import { checkOrder } from './filter-check.ts'
import { filterTree, type Condition, type FilterTree } from './filter-tree.ts'
import type { Filter, OrderBy } from './filter.ts'
import { entryOf, isJsonObject, jsonEqual } from './json-equal.ts'
import { compileLike } from './like.ts'
import type { Json, Row } from './row.ts'
import type { ColumnType, TableDescriptor } from './table.ts'

/** Null is SQL's unknown. */
type Truth = boolean | null
type Test = (row: Row) => Truth
/** Tests a value that is not null. */
type ValueTest = (value: Json) => boolean

/**
 * Compiles a filter to a test of rows, with the meaning of `filterToSql` in Postgres, which is three-valued: comparing
 * NULL with anything is unknown, also with `ne`; `not` of unknown is unknown; a row is selected only when the whole is
 * true. So `{ assignee: { ne: 'x' } }` does not select rows without assignee: add `or: [{ assignee: null }]`. The
 * exceptions are Postgres' own: `in: []` is false and `notIn: []` true for every row.
 *
 * Throws `TideError` `bad_filter`.
 */
export function compileFilter(table: TableDescriptor, filter: Filter): (row: Row) => boolean {
  const test = compileTree(filterTree(table, filter))
  return (row) => test(row) === true
}

/**
 * Compiles an order to a comparison for `sort`: NULLs last ascending and first descending, text by code point, ties by
 * id ascending. Throws `TideError` `bad_filter`.
 */
export function compileOrder(table: TableDescriptor, orderBy: readonly OrderBy[] = []): (a: Row, b: Row) => number {
  const steps = checkOrder(table, orderBy)
    .flatMap((entry) => Object.entries(entry))
    .map(([property, direction]) => {
      const column = table.columns[property]
      const compare = nullsLast((column && compareOf(column.type)) ?? (() => 0))
      const sign = direction === 'asc' ? 1 : -1
      return (a: Row, b: Row) => sign * compare(jsonOf(a, property), jsonOf(b, property))
    })
  return (a, b) => {
    for (const step of steps) {
      const order = step(a, b)
      if (order !== 0) return order
    }
    return compareText(String(a['id']), String(b['id']))
  }
}

function nullsLast(compare: Compare): Compare {
  return (a, b) => {
    if (a === null || b === null) return Number(a === null) - Number(b === null)
    return compare(a, b)
  }
}

function compileTree(tree: FilterTree): Test {
  switch (tree.kind) {
    case 'and':
      return every(tree.parts.map(compileTree))
    case 'or':
      return some(tree.parts.map(compileTree))
    case 'not': {
      const test = compileTree(tree.part)
      return (row) => {
        const truth = test(row)
        return truth === null ? null : !truth
      }
    }
    case 'condition':
      return compileCondition(tree)
  }
}

/** False as soon as one is false, else unknown if one is. */
function every(tests: readonly Test[]): Test {
  return (row) => {
    let result: Truth = true
    for (const test of tests) {
      const truth = test(row)
      if (truth === false) return false
      if (truth === null) result = null
    }
    return result
  }
}

/** True as soon as one is true, else unknown if one is. */
function some(tests: readonly Test[]): Test {
  return (row) => {
    let result: Truth = false
    for (const test of tests) {
      const truth = test(row)
      if (truth === true) return true
      if (truth === null) result = null
    }
    return result
  }
}

function compileCondition(condition: Condition): Test {
  const { property, operator, operand } = condition
  if (operator === 'isNull') return (row) => (jsonOf(row, property) === null) === operand
  // Postgres compares with no element at all, so NULL makes no difference.
  if (operator === 'in' && listOf(operand).length === 0) return () => false
  if (operator === 'notIn' && listOf(operand).length === 0) return () => true
  const test = compileValue(condition)
  return (row) => {
    const value = jsonOf(row, property)
    return value === null ? null : test(value)
  }
}

function compileValue({ column, operator, operand }: Condition): ValueTest {
  const compare = compareOf(column.type) ?? (() => 0)
  switch (operator) {
    case 'eq':
      return (value) => compare(value, operand) === 0
    case 'ne':
      return (value) => compare(value, operand) !== 0
    case 'lt':
      return (value) => compare(value, operand) < 0
    case 'lte':
      return (value) => compare(value, operand) <= 0
    case 'gt':
      return (value) => compare(value, operand) > 0
    case 'gte':
      return (value) => compare(value, operand) >= 0
    case 'in':
      return compileIn(column.type, listOf(operand), compare)
    case 'notIn': {
      const isIn = compileIn(column.type, listOf(operand), compare)
      return (value) => !isIn(value)
    }
    case 'like':
    case 'ilike': {
      const matches = compileLike(String(operand), operator === 'ilike')
      return (value) => matches(String(value))
    }
    case 'contains':
      return column.type === 'jsonb' ? compileContains(operand) : (value) => listOf(value).includes(operand)
    case 'isNull':
      return () => false
  }
}

/** Types whose equal values are the same JavaScript value, so that a set finds them. */
function compileIn(type: ColumnType, elements: readonly Json[], compare: Compare): ValueTest {
  if (type === 'numeric') return (value) => elements.some((element) => compare(value, element) === 0)
  const set = new Set(elements)
  return (value) => set.has(value)
}

/**
 * Top-level containment: the same entries in an object, the same plain elements in a list; nested values count whole.
 */
function compileContains(operand: Json): ValueTest {
  if (!isJsonObject(operand))
    return (value) => Array.isArray(value) && listOf(operand).every((element) => listOf(value).includes(element))
  const entries = Object.entries(operand)
  return (value) => isJsonObject(value) && entries.every(([key, entry]) => jsonEqual(entryOf(value, key), entry))
}

function listOf(value: Json): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : []
}

/** The value of a column that filters may compare: all but vectors. A column that the row lacks is NULL. */
function jsonOf(row: Row, property: string): Json {
  const value = row[property] ?? null
  return value instanceof Float32Array ? true : value
}
