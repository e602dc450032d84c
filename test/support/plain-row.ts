// A row of the database, as JSON, and one of a replica, made comparable: by SQL names, times and numerics in one
// form.
import type { TableDescriptor } from '../../protocol/rows/table.ts'

export type PlainRow = Readonly<Record<string, unknown>>

/**
 * `nameOf` says under which name the row has a column. Vectors are left out: replicas have them only where they asked
 * for them.
 */
export function toPlainRow(
  { columns }: Pick<TableDescriptor, 'columns'>,
  row: PlainRow,
  nameOf: (column: string, property: string) => string,
): PlainRow {
  return Object.fromEntries(
    Object.entries(columns)
      .filter(([, { type }]) => type !== 'vector')
      .map(([property, { name, type }]) => [property, comparable(type, row[nameOf(name, property)])]),
  )
}

/** What `to_jsonb` made of a row. */
export const ofDatabase = (column: string): string => column
/** As a replica has it. */
export const ofReplica = (_: string, property: string): string => property

function comparable(type: string, value: unknown): unknown {
  if (value === null || value === undefined) return null
  if (type.startsWith('timestamp')) return new Date(String(value)).toISOString()
  if (type === 'bytea')
    return String(value).replace(/^\\x(.*)$/, (_, hex: string) => Buffer.from(hex, 'hex').toString('base64'))
  return type.startsWith('numeric') ? Number(value) : value
}
