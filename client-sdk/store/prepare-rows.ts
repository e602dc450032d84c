import { TideError } from '../../protocol/error.ts'
import { unpackRows } from '../../protocol/rows/block-codec.ts'
import { checkBlock } from '../../protocol/rows/column-check.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Row, Value } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { tableOf, type Tables } from './holding.ts'

export interface TableRows {
  readonly table: TableDescriptor
  readonly rows: readonly Row[]
  /** Columns that did not travel, so that the rows say nothing of them. */
  readonly absent: readonly string[]
}

/** Unpacks a block. Throws `TideError` `bad_frame` when it cannot be read. */
export function unpackBlock(tables: Tables, { block, sections }: PackedBlock): TableRows {
  const table = tableOf(tables, block.table)
  const sent = new Set(block.columns.map((column) => column.name))
  const absent = Object.keys(table.columns).filter((key) => !sent.has(key))
  return { table, rows: checkRows(table, unpackRows(table, block, sections)), absent }
}

/** Refuses a block that `unpackBlock` would refuse, without unpacking it. */
export function checkPacked(tables: Tables, { block, sections }: PackedBlock): void {
  const table = tableOf(tables, block.table)
  checkBlock(block, sections)
  if (!block.columns.some((column) => column.name === 'id'))
    throw new TideError('invalid_value', `Rows of ${table.name} have no id.`)
  for (const column of block.columns) {
    const descriptor = table.columns[column.name]
    if (descriptor?.type !== 'vector') continue
    const fits =
      column.kind === 'vector'
        ? column.dimension === descriptor.dimension
        : column.kind === 'const' && column.value === null
    if (!fits)
      throw new TideError(
        'invalid_value',
        `Values of ${table.name}.${column.name} are no vectors of ${descriptor.dimension}.`,
      )
  }
}

/** The columns that a row written here leaves as they are. */
export function absentColumns(table: TableDescriptor, row: Row): readonly string[] {
  return Object.keys(table.columns).filter((key) => row[key] === undefined)
}

/**
 * Refuses what no store could keep: a row without id, or a vector of another length. Throws `TideError`
 * `invalid_value`.
 */
export function checkRows(table: TableDescriptor, rows: readonly Row[]): readonly Row[] {
  const vectors = Object.entries(table.columns).filter(([, column]) => column.type === 'vector')
  for (const row of rows) {
    if (typeof row['id'] !== 'string') throw new TideError('invalid_value', `A row of ${table.name} has no id.`)
    for (const [key, { dimension }] of vectors) {
      const value = row[key]
      if (value === null || value === undefined) continue
      if (value instanceof Float32Array && value.length === dimension) continue
      const got = value instanceof Float32Array ? `${value.length} numbers` : typeof value
      throw new TideError(
        'invalid_value',
        `${table.name}.${key} of row ${row['id']} is ${got}, not a vector of ${dimension}.`,
      )
    }
  }
  return rows
}

/** A row as it was sent: columns in `absent` were not. */
export interface SentRow {
  readonly row: Row
  readonly absent: readonly string[]
}

/** What is known of a row that was sent twice: what the later sending lacks stands as in the earlier. */
export function overlay(earlier: SentRow | undefined, later: SentRow): SentRow {
  if (earlier === undefined || later.absent.length === 0) return later
  const row: Record<string, Value> = { ...later.row }
  for (const key of later.absent) row[key] = earlier.row[key] ?? null
  return { row, absent: later.absent.filter((key) => earlier.absent.includes(key)) }
}
