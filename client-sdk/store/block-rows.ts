import { unpackPlainRows, type PlainRows } from '../../protocol/rows/block-codec.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { tableOf, type Tables } from './holding.ts'
import { checkPacked } from './prepare-rows.ts'

/** The rows of a block as a store in memory keeps them: vectors apart. */
export interface BlockRows extends PlainRows {
  readonly table: TableDescriptor
  /** Columns that did not travel, so that the rows say nothing of them. */
  readonly absent: readonly string[]
}

/** Unpacks a block. Throws `TideError` `bad_frame` or `invalid_value` when no store could keep it. */
export function toBlockRows(tables: Tables, packed: PackedBlock): BlockRows {
  checkPacked(tables, packed)
  const { block, sections } = packed
  const table = tableOf(tables, block.table)
  const sent = new Set(block.columns.map((column) => column.name))
  const absent = Object.keys(table.columns).filter((key) => !sent.has(key))
  return { table, absent, ...unpackPlainRows(table, block, sections) }
}

/** One of the rows with its vectors. */
export function blockRow({ table, rows, vectors }: BlockRows, index: number): Row {
  const own = Object.entries(table.columns).flatMap(([key, { type }]) =>
    type === 'vector' ? [[key, vectors.get(key)?.[index] ?? null] as const] : [],
  )
  return { ...rows[index], ...Object.fromEntries(own) }
}
