import { decodeFrame, encodeFrame } from '../../protocol/frame.ts'
import type { PackedBlock, TableBlock } from '../../protocol/rows/block.ts'
import { rowId, type Row } from '../../protocol/rows/row.ts'
import type { Tables } from './holding.ts'
import type { Codecs } from './pglite-codecs.ts'
import type { Executor } from './pglite-like.ts'
import { overlay, unpackBlock, type SentRow } from './prepare-rows.ts'

/**
 * Blocks of a bootstrap wait packed, as they came: rows are written once, at the swap, and a table that is still empty
 * takes them by COPY. Tables of staged rows would cost every row twice.
 */
export async function stageBlocks(
  database: Executor,
  codecs: Codecs,
  subscription: string,
  blocks: readonly PackedBlock[],
): Promise<void> {
  for (const { block, sections } of blocks) {
    const frame = encodeFrame({ message: block, sections })
    const text = 'insert into tidewire.local_staging (subscription, table_name, frame) values ($1, $2, $3)'
    await database.query(text, [subscription, block.table, frame], codecs)
  }
}

export async function unstage(database: Executor, subscriptions: readonly string[]): Promise<void> {
  await database.query('delete from tidewire.local_staging where subscription = any($1::text[])', [subscriptions])
  const left = await database.query('select 1 from tidewire.local_staging limit 1')
  // Gives the space back at once; nobody vacuums an embedded database.
  if (left.rows.length === 0) await database.exec('truncate tidewire.local_staging')
}

/** The staged blocks of a subscription, read one at a time in the order in which they came. */
export async function* stagedBlocks(
  database: Executor,
  tables: Tables,
  subscription: string,
  table?: string,
): AsyncIterable<PackedBlock> {
  const only = table === undefined ? '' : ' and table_name = $2'
  const params = table === undefined ? [subscription] : [subscription, table]
  const text = `select number::int from tidewire.local_staging where subscription = $1${only} order by number`
  const { rows } = await database.query<{ number: number }>(text, params)
  for (const { number } of rows) {
    const block = await readBlock(database, number)
    // A table that left the schema meanwhile: nobody asks for its rows any more.
    if (block !== undefined && tables.has(block.block.table)) yield block
  }
}

/** The staged rows with these ids, each as last staged. */
export async function stagedRows(
  database: Executor,
  tables: Tables,
  subscription: string,
  table: string,
  ids: readonly string[],
): Promise<Row[]> {
  if (ids.length === 0) return []
  const wanted = new Set(ids)
  const found = new Map<string, SentRow>()
  for await (const block of stagedBlocks(database, tables, subscription, table)) {
    const { rows, absent } = unpackBlock(tables, block)
    for (const row of rows) {
      const id = rowId(row)
      if (wanted.has(id)) found.set(id, overlay(found.get(id), { row, absent }))
    }
  }
  return ids.map((id) => found.get(id)?.row).filter((row) => row !== undefined)
}

async function readBlock(database: Executor, number: number): Promise<PackedBlock | undefined> {
  // COPY gives bytes as they are; the result of a query would bring them as hex.
  const text = `copy (select frame from tidewire.local_staging where number = ${number}) to '/dev/blob' with (format binary)`
  const { blob } = await database.query(text)
  const bytes = blob === undefined ? undefined : firstField(new DataView(await blob.arrayBuffer()))
  if (bytes === undefined) return undefined
  const frame = decodeFrame(bytes)
  // It was written by `stageBlocks`; unpacking checks it again.
  return { block: frame.message as TableBlock, sections: frame.sections }
}

/**
 * The first field of the first row of a binary COPY: signature and flags, the row's field count, the field's length.
 */
function firstField(view: DataView): Uint8Array | undefined {
  const start = 19
  if (view.getInt16(start) < 1) return undefined
  const length = view.getInt32(start + 2)
  return length < 0 ? undefined : new Uint8Array(view.buffer, start + 6, length)
}
