import { TideError } from '../../protocol/error.ts'
import type { CatalogTable, SqlColumn } from '../catalog/catalog.ts'

/** One column of an order, by property. */
export type Order = readonly [property: string, direction: 'asc' | 'desc']

type Condition = Readonly<Record<string, unknown>>

/**
 * The order with the columns of the key behind it, so that no two rows are equal in it: a page after a row is then the
 * same whatever is inserted before it. Of a log the id is enough.
 */
export function totalOrder(table: CatalogTable, order: readonly Order[]): readonly Order[] {
  const direction = order.at(-1)?.[1] ?? 'asc'
  const key = table.sqlColumns.filter(({ primary, property }) => primary && property !== 'occurredAt')
  const rest = key.filter(({ property }) => !order.some(([name]) => name === property))
  return [...order, ...rest.map(({ property }): Order => [property, direction])]
}

/** The place of a row in the order, opaque to callers. */
export function toCursor(order: readonly Order[], row: Condition): string {
  const values = order.map(([property]) => row[property] ?? null)
  return Buffer.from(JSON.stringify([signature(order), ...values])).toString('base64url')
}

/**
 * The condition that selects what comes after the cursor's row. Throws `invalid_value` for a cursor of another order.
 */
export function afterCursor(table: CatalogTable, order: readonly Order[], cursor: string): Condition {
  const [of, ...values] = parse(cursor)
  if (of !== signature(order) || values.length !== order.length)
    throw new TideError('invalid_value', `The cursor ${JSON.stringify(cursor)} is not of this list.`, {
      remedy: 'Ask with the order of the page that it came from, or without a cursor for the first page.',
    })
  return afterValues(
    order.map(([property, direction], index) => {
      const column = table.sqlColumns.find((one) => one.property === property)
      return { property, direction, column, value: toValue(column, values[index]) }
    }),
  )
}

interface Place {
  readonly property: string
  readonly direction: 'asc' | 'desc'
  readonly column: SqlColumn | undefined
  readonly value: unknown
}

/** Behind in the first column, or equal there and behind in the rest. NULL is the greatest value, as in Postgres. */
function afterValues([first, ...rest]: readonly Place[]): Condition {
  if (first === undefined) return { $or: [] }
  const { property, value } = first
  const behind = behindIn(first)
  if (rest.length === 0) return { $or: behind }
  const either = { $or: [...behind, { $and: [{ [property]: value }, afterValues(rest)] }] }
  // Says what follows from the rest once more, in the form that an index can begin with.
  const bound = value === null || first.column?.nullable !== false ? [] : [{ [property]: { [orEqual(first)]: value } }]
  return { $and: [...bound, either] }
}

function behindIn({ property, direction, value, column }: Place): readonly Condition[] {
  if (direction === 'desc') return value === null ? [{ [property]: { $ne: null } }] : [{ [property]: { $lt: value } }]
  if (value === null) return []
  const nulls = column?.nullable === false ? [] : [{ [property]: null }]
  return [{ [property]: { $gt: value } }, ...nulls]
}

function orEqual({ direction }: Place): '$gte' | '$lte' {
  return direction === 'asc' ? '$gte' : '$lte'
}

function toValue(column: SqlColumn | undefined, value: unknown): unknown {
  return typeof value === 'string' && column?.sqlType.startsWith('timestamptz') ? new Date(value) : value
}

function signature(order: readonly Order[]): string {
  return order.map(([property, direction]) => `${property} ${direction}`).join()
}

function parse(cursor: string): readonly unknown[] {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(parsed) ? parsed : []
  } catch {
    return []
  }
}
