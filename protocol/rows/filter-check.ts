import { TideError } from '../error.ts'
import { checkOperand, operatorsOf, type OperatorName } from './filter-operand.ts'
import { filterLimits, type Filter, type OrderBy, type Query } from './filter.ts'
import { compareOf } from './compare.ts'
import type { ColumnDescriptor, TableDescriptor } from './table.ts'

const maxOrderColumns = 16

/**
 * Checks a filter from outside against its table and gives it back in canonical form: times as in rows, undefined
 * nowhere. Throws `TideError` `bad_filter` naming the part that is refused. Checking twice changes nothing.
 */
export function checkFilter(table: TableDescriptor, filter: unknown): Filter {
  return new Checker(table).filter(filter, 'where', 1)
}

/** Checks a whole query; see `checkFilter`. Throws `TideError` `bad_filter`. */
export function checkQuery(table: TableDescriptor, query: unknown): Query {
  if (!isPlainObject(query)) throw badFilter(table, 'query', 'must be an object')
  const { where, orderBy, limit, offset, withDeleted, ...rest } = query
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined)
    throw badFilter(table, unknown, 'is not part of a query (where, orderBy, limit, offset, withDeleted)')
  return {
    ...(where === undefined ? {} : { where: checkFilter(table, where) }),
    ...(orderBy === undefined ? {} : { orderBy: checkOrder(table, orderBy) }),
    ...(limit === undefined ? {} : { limit: checkCount(table, 'limit', limit) }),
    ...(offset === undefined ? {} : { offset: checkCount(table, 'offset', offset) }),
    ...(withDeleted === undefined ? {} : { withDeleted: checkFlag(table, 'withDeleted', withDeleted) }),
  }
}

/** Checks an order: known columns of types that have an order. Throws `TideError` `bad_filter`. */
export function checkOrder(table: TableDescriptor, orderBy: unknown): OrderBy[] {
  if (!Array.isArray(orderBy)) throw badFilter(table, 'orderBy', 'must be a list such as [{ createdAt: "desc" }]')
  const entries: readonly unknown[] = orderBy
  if (entries.length > maxOrderColumns)
    throw badFilter(table, 'orderBy', `has ${entries.length} entries; ${maxOrderColumns} are allowed`)
  return entries.map((entry, index) => {
    const path = `orderBy[${index}]`
    if (!isPlainObject(entry)) throw badFilter(table, path, 'must be an object such as { createdAt: "desc" }')
    const columns = Object.entries(entry).map(([property, direction]): [string, 'asc' | 'desc'] => {
      const column = columnOf(table, path, property)
      if (!compareOf(column.type))
        throw badFilter(table, `${path}.${property}`, `is of type ${column.type}, which has no order`)
      if (direction !== 'asc' && direction !== 'desc')
        throw badFilter(table, `${path}.${property}`, 'must be "asc" or "desc"')
      return [property, direction]
    })
    if (columns.length > maxOrderColumns)
      throw badFilter(table, path, `names ${columns.length} columns; ${maxOrderColumns} are allowed`)
    return Object.fromEntries(columns)
  })
}

class Checker {
  readonly #table: TableDescriptor
  #nodes = 0

  constructor(table: TableDescriptor) {
    this.#table = table
  }

  filter(filter: unknown, path: string, depth: number): Filter {
    if (depth > filterLimits.depth) throw badFilter(this.#table, path, `is nested deeper than ${filterLimits.depth}`)
    if (!isPlainObject(filter)) throw badFilter(this.#table, path, 'must be an object')
    const entries = Object.entries(filter).map(([key, part]): [string, Filter[string]] => {
      this.#count(path)
      return [key, this.#part(key, part, `${path}.${key}`, depth)]
    })
    return Object.fromEntries(entries)
  }

  #part(key: string, part: unknown, path: string, depth: number): Filter[string] {
    if (part === undefined) throw badFilter(this.#table, path, 'is undefined; leave it out to select all, or use null')
    if (key === 'not') return this.filter(part, path, depth + 1)
    if (key !== 'and' && key !== 'or') return this.#condition(columnOf(this.#table, 'where', key), part, path)
    if (!Array.isArray(part)) throw badFilter(this.#table, path, 'must be a list of filters')
    const filters: readonly unknown[] = part
    return filters.map((filter, index) => {
      this.#count(path)
      return this.filter(filter, `${path}[${index}]`, depth + 1)
    })
  }

  #condition(column: ColumnDescriptor, condition: unknown, path: string): Filter[string] {
    const allowed = operatorsOf(column.type)
    if (condition === null) return null
    if (!isPlainObject(condition)) {
      if (!allowed.includes('eq'))
        throw badFilter(this.#table, path, `is of type ${column.type}, which knows ${allowed.join(', ')} only`)
      return this.#operand(column, 'eq', condition, path)
    }
    const entries = Object.entries(condition).map(([operator, operand]) => {
      this.#count(path)
      const known = allowed.find((name) => name === operator)
      if (!known)
        throw badFilter(
          this.#table,
          `${path}.${operator}`,
          `is no operator of a column of type ${column.type} (${allowed.join(', ')})`,
        )
      return [known, this.#operand(column, known, operand, `${path}.${operator}`)] as const
    })
    return Object.fromEntries(entries)
  }

  #operand(column: ColumnDescriptor, operator: OperatorName, operand: unknown, path: string): Filter[string] {
    const checked = checkOperand(column, operator, operand)
    if ('fault' in checked) throw badFilter(this.#table, path, checked.fault)
    return checked.value
  }

  #count(path: string): void {
    this.#nodes++
    if (this.#nodes > filterLimits.nodes)
      throw badFilter(this.#table, path, `goes beyond ${filterLimits.nodes} entries in all`)
  }
}

function columnOf(table: TableDescriptor, path: string, property: string): ColumnDescriptor {
  const column = Object.hasOwn(table.columns, property) ? table.columns[property] : undefined
  if (!column) throw badFilter(table, `${path}.${property}`, 'is no column')
  return column
}

function checkCount(table: TableDescriptor, path: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw badFilter(table, path, 'must be a whole number, 0 or more')
}

function checkFlag(table: TableDescriptor, path: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw badFilter(table, path, 'must be true or false')
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function badFilter(table: TableDescriptor, path: string, what: string): TideError {
  return new TideError('bad_filter', `The filter of ${table.name} is refused: ${path} ${what}.`)
}
