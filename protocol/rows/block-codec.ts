import type { ColumnBlock, PackedBlock, TableBlock } from './block.ts'
import { packColumn } from './column-pack.ts'
import { checkBlock } from './column-check.ts'
import { columnValues } from './column-unpack.ts'
import type { Row, Value } from './row.ts'
import type { ColumnDescriptor, TableDescriptor } from './table.ts'

/**
 * Packs rows of one table column by column. Each column takes the smallest packing that its values allow; vectors are
 * left out unless `embeddings`. Columns that a row lacks are packed as null.
 */
export function packRows(
  table: TableDescriptor,
  rows: readonly Row[],
  options: { readonly embeddings: boolean },
): PackedBlock {
  const sections: Uint8Array[] = []
  const add = (bytes: Uint8Array): number => sections.push(bytes) - 1
  const columns: ColumnBlock[] = []
  for (const [property, column] of Object.entries(table.columns)) {
    if (column.type === 'vector' && !options.embeddings) continue
    const values: Value[] = rows.map((row) => row[property] ?? null)
    // Ids of several rows differ. So a block of several rows always has a column that grows with their number, which
    // bounds what a reader allocates by what it has received.
    const distinct = property === 'id' && rows.length > 1
    columns.push({ name: property, ...packColumn(column, values, distinct, add) })
  }
  return { block: { table: table.name, count: rows.length, columns }, sections }
}

/**
 * The rows of a block: every column of the descriptor, null where the block has none; columns that the descriptor does
 * not know are ignored (the sender is newer). Nested values may be shared between rows, which are read-only. Throws
 * `TideError` `bad_frame` when the block does not add up.
 */
export function unpackRows(table: TableDescriptor, block: TableBlock, sections: readonly Uint8Array[]): Row[] {
  checkBlock(block, sections)
  return fill(
    blankOf(table, blanks, () => true),
    block,
    sections,
  )
}

export interface PlainRows {
  /** Without vector columns. */
  readonly rows: Row[]
  /** The vector columns that the block has, by property: one value per row. */
  readonly vectors: ReadonlyMap<string, readonly Value[]>
}

/** As `unpackRows`, with the vectors apart. */
export function unpackPlainRows(table: TableDescriptor, block: TableBlock, sections: readonly Uint8Array[]): PlainRows {
  checkBlock(block, sections)
  const vectors = block.columns.filter(({ name }) => table.columns[name]?.type === 'vector')
  return {
    rows: fill(plainBlank(table), block, sections),
    vectors: new Map(vectors.map((column) => [column.name, columnValues(column, sections, block.count)])),
  }
}

/** A row of nulls without vector columns, to be copied. */
export function plainBlank(table: TableDescriptor): Row {
  return blankOf(table, plainBlanks, ({ type }) => type !== 'vector')
}

/**
 * A row of nulls, to be copied. Parsed, because an object of many properties that are added one by one becomes a
 * dictionary, of which a copy takes ten times as long.
 */
export function blankRow(properties: readonly string[]): Row {
  return JSON.parse(`{${properties.map((property) => `${JSON.stringify(property)}:null`).join()}}`) as Row
}

/** Copies of a row of nulls with the values of a block, as far as the row has the columns. */
function fill(blank: Row, { count, columns }: TableBlock, sections: readonly Uint8Array[]): Row[] {
  // What all rows share stands in the row that all are copied from.
  const shared: Record<string, Value> = { ...blank }
  const differing: { readonly name: string; readonly values: readonly Value[] }[] = []
  for (const column of columns) {
    if (!Object.hasOwn(blank, column.name)) continue
    if (column.kind === 'const') shared[column.name] = column.value
    else differing.push({ name: column.name, values: columnValues(column, sections, count) })
  }
  const rows: Record<string, Value>[] = []
  for (let index = 0; index < count; index++) {
    const row = { ...shared }
    for (const { name, values } of differing) row[name] = values[index] ?? null
    rows.push(row)
  }
  return rows
}

function blankOf(
  table: TableDescriptor,
  known: WeakMap<TableDescriptor, Row>,
  has: (column: ColumnDescriptor) => boolean,
): Row {
  const made = known.get(table)
  if (made) return made
  const columns = Object.entries(table.columns).filter(([, column]) => has(column))
  const blank = blankRow(columns.map(([property]) => property))
  known.set(table, blank)
  return blank
}
const blanks = new WeakMap<TableDescriptor, Row>()
const plainBlanks = new WeakMap<TableDescriptor, Row>()

/** As `unpackRows`, with the columns that the block has and no others. */
export function unpackSentRows(table: TableDescriptor, { block, sections }: PackedBlock): Row[] {
  checkBlock(block, sections)
  const sent = block.columns.map(({ name }) => name).filter((name) => Object.hasOwn(table.columns, name))
  return fill(blankRow(sent), block, sections)
}

/** The ids of its rows. Throws `TideError` `bad_frame` when the block does not add up. */
export function blockIds({ block, sections }: PackedBlock): readonly string[] {
  checkBlock(block, sections)
  const column = block.columns.find(({ name }) => name === 'id')
  const values = column === undefined ? [] : columnValues(column, sections, block.count)
  return values.filter((value) => typeof value === 'string')
}

/** The rows of a block that is not in a frame. */
export function packedToRows(table: TableDescriptor, packed: PackedBlock): Row[] {
  return unpackRows(table, packed.block, packed.sections)
}
