import { checkOrder } from './filter-check.ts'
import { filterTree, type Condition, type FilterTree } from './filter-tree.ts'
import type { Filter, OrderBy } from './filter.ts'
import { isJsonObject } from './json-equal.ts'
import type { Json } from './row.ts'
import type { ColumnDescriptor, ColumnType, TableDescriptor } from './table.ts'

export interface SqlOptions {
  /** Alias of the table in the statement. */
  readonly alias?: string
}

/**
 * A filter as a SQL condition for Postgres and PGlite; values are appended to `params` and referred to as `$n` by their
 * place there. Selects the same rows as `compileFilter`, see there for NULL. Times
 * agree since all time columns are timestamptz(3).
 *
 * Every parameter is text, number or boolean: lists travel as array literals, so that no driver has to know their type.
 * Throws `TideError` `bad_filter`.
 */
export function filterToSql(
  table: TableDescriptor,
  filter: Filter,
  params: unknown[],
  options: SqlOptions = {},
): string {
  const bind = (value: string | number | boolean): string => `$${params.push(value)}`
  return treeToSql(filterTree(table, filter), { bind, prefix: prefixOf(options) })
}

/** What follows ORDER BY, the same order as `compileOrder`; never empty. Throws `TideError` `bad_filter`. */
export function orderToSql(table: TableDescriptor, orderBy: readonly OrderBy[] = [], options: SqlOptions = {}): string {
  const prefix = prefixOf(options)
  const steps = checkOrder(table, orderBy)
    .flatMap((entry) => Object.entries(entry))
    .map(([property, direction]) => {
      const column = table.columns[property]
      return column ? `${ordered(column, prefix)} ${direction}` : ''
    })
  return [...steps, `${prefix}"id" asc`].join(', ')
}

interface Context {
  readonly bind: (value: string | number | boolean) => string
  readonly prefix: string
}

function treeToSql(tree: FilterTree, context: Context): string {
  switch (tree.kind) {
    case 'and':
    case 'or': {
      if (tree.parts.length === 0) return tree.kind === 'and' ? 'true' : 'false'
      return `(${tree.parts.map((part) => treeToSql(part, context)).join(` ${tree.kind} `)})`
    }
    case 'not':
      return `(not ${treeToSql(tree.part, context)})`
    case 'condition':
      return `(${conditionToSql(tree, context)})`
  }
}

function conditionToSql({ column, operator, operand }: Condition, context: Context): string {
  const { bind, prefix } = context
  const name = `${prefix}${quote(column.name)}`
  if (operator === 'isNull') return operand === true ? `${name} is null` : `${name} is not null`
  if (operator === 'contains') return containsToSql(name, column, operand, context)
  if (operator === 'in' || operator === 'notIn') {
    const list = `${bind(arrayLiteral(operand))}::${sqlType(column.type)}[]`
    return operator === 'in' ? `${name} = any(${list})` : `${name} <> all(${list})`
  }
  if (operator === 'like') return `${name} collate "C" like ${bind(scalar(operand))}::text`
  // lower() in collation C folds A to Z and nothing else.
  if (operator === 'ilike') return `lower(${name} collate "C") like ${bind(asciiLower(scalar(operand)))}::text`
  const value = `${bind(scalar(operand))}::${sqlType(column.type)}`
  switch (operator) {
    case 'eq':
      return `${name} = ${value}`
    case 'ne':
      return `${name} <> ${value}`
    case 'lt':
      return `${ordered(column, prefix)} < ${value}`
    case 'lte':
      return `${ordered(column, prefix)} <= ${value}`
    case 'gt':
      return `${ordered(column, prefix)} > ${value}`
    case 'gte':
      return `${ordered(column, prefix)} >= ${value}`
  }
}

function containsToSql(name: string, column: ColumnDescriptor, operand: Json, { bind }: Context): string {
  if (column.type === 'text[]') return `${name} @> ${bind(arrayLiteral([operand]))}::text[]`
  // @> can use an index but contains deeply; the entries it leaves over are then compared whole.
  const contained = `${name} @> ${bind(JSON.stringify(operand))}::jsonb`
  if (!isJsonObject(operand)) return `jsonb_typeof(${name}) = 'array' and ${contained}`
  const entries = Object.entries(operand).map(
    ([key, entry]) => `${name} -> ${bind(key)}::text = ${bind(JSON.stringify(entry))}::jsonb`,
  )
  return [contained, ...entries].join(' and ')
}

/** Text compares by code point, whatever the database's collation. */
function ordered(column: ColumnDescriptor, prefix: string): string {
  const name = `${prefix}${quote(column.name)}`
  return column.type === 'text' ? `${name} collate "C"` : name
}

function sqlType(type: ColumnType): string {
  switch (type) {
    case 'integer':
    case 'bigint':
      return 'bigint'
    case 'double':
      return 'double precision'
    default:
      return type
  }
}

/** `{"a","b"}`; elements are quoted, so commas, braces and the word NULL are only text. */
function arrayLiteral(list: Json): string {
  const elements: readonly Json[] = Array.isArray(list) ? (list as readonly Json[]) : []
  return `{${elements.map((element) => `"${String(element).replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}

function scalar(value: Json): string | number | boolean {
  return typeof value === 'object' ? JSON.stringify(value) : value
}

function asciiLower(pattern: string | number | boolean): string {
  return String(pattern).replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

function prefixOf({ alias }: SqlOptions): string {
  return alias === undefined ? '' : `${quote(alias)}.`
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
