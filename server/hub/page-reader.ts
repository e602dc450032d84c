import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Catalog, CatalogTable } from '../catalog/catalog.ts'
import { binarySelectList, RowPacker } from '../db/row-packer.ts'
import type { Homes } from '../scope/homes.ts'
import type { PageRequest, PageResult, Selection } from './feed.ts'
import { fromToken, toToken, type PagePlace } from './page-token.ts'
import { occupiedSql, selectionSql } from './selection-sql.ts'
import type { Snapshot } from './snapshot.ts'

export interface PageOptions {
  readonly catalog: Catalog
  readonly homes: Homes
  readonly snapshot: Pick<Snapshot, 'raw' | 'each'>
  readonly sizes: RowSizes
}

/** A page that is this full is sent as it is. */
const enough = 0.75
/** Times the bytes that a page is meant to have, as they come from Postgres: rows beyond are left to the next page. */
const mostRaw = 4

/**
 * One page: by table in the order of the selection, within a table by id, small tables together. What is
 * written meanwhile may be missed or seen by later pages; either way it is in the catch-up that ends the bootstrap.
 */
export async function readPage(
  { selection, after, maxRows, maxBytes }: PageRequest,
  options: PageOptions,
): Promise<Omit<PageResult, 'from' | 'shows'>> {
  const blocks: PackedBlock[] = []
  let place: PagePlace = fromToken(after)
  const occupied = await occupiedTables(selection, place.table, options)
  let rows = 0
  let bytes = 0
  while (rows < maxRows && bytes < maxBytes * enough) {
    const name = selection.tables[place.table]
    if (name === undefined) return { blocks, rows, next: null }
    const table = occupied.has(place.table) ? options.catalog.synced.get(name) : undefined
    const limit = Math.min(maxRows - rows, Math.ceil((maxBytes - bytes) / options.sizes.of(name, selection)))
    const packer = table && (await readTable(table, selection, { place, limit, maxRaw: mostRaw * maxBytes }, options))
    const isRest = packer && (packer.rows === limit || packer.isFull)
    place = isRest ? { ...place, afterId: packer.lastId ?? null } : { table: place.table + 1, afterId: null }
    if (!packer || packer.rows === 0) continue
    const packed = packer.end()
    const size = packed.sections.reduce((sum, section) => sum + section.byteLength, 0)
    options.sizes.learn(name, selection, size / packer.rows)
    blocks.push(packed)
    rows += packer.rows
    bytes += size
  }
  return { blocks, rows, next: toToken(place) }
}

interface Part {
  readonly place: PagePlace
  readonly limit: number
  readonly maxRaw: number
}

async function readTable(
  table: CatalogTable,
  selection: Selection,
  { place, limit, maxRaw }: Part,
  { catalog, homes, snapshot }: PageOptions,
): Promise<RowPacker | undefined> {
  const columns = binarySelectList(table, selection, 't')
  const page = { afterId: place.afterId, limit }
  const statement = selectionSql({ catalog, homes, selection, table: table.name, columns, page })
  if (!statement) return undefined
  const packer = new RowPacker(table, selection, maxRaw)
  await snapshot.each(statement, packer.add)
  return packer
}

async function occupiedTables(
  selection: Selection,
  first: number,
  { catalog, homes, snapshot }: PageOptions,
): Promise<ReadonlySet<number>> {
  // A page that goes on within the last table needs no look around.
  if (first >= selection.tables.length - 1) return new Set([first])
  const statement = occupiedSql(catalog, homes, selection, first)
  const [row] = statement ? await snapshot.raw(statement) : []
  return new Set(
    (row?.[0] ?? '')
      .split(',')
      .filter((index) => index !== '')
      .map(Number),
  )
}

/** Nothing is known of the table yet. */
const unknownBytes = 2000
const leastBytes = 16

/** How many bytes a row of a table took when it was last packed, so that a page is neither small nor huge. */
export class RowSizes {
  readonly #bytes = new Map<string, number>()

  of(table: string, selection: Selection): number {
    return this.#bytes.get(keyOf(table, selection)) ?? unknownBytes
  }

  learn(table: string, selection: Selection, bytes: number): void {
    this.#bytes.set(keyOf(table, selection), Math.max(leastBytes, bytes))
  }
}

function keyOf(table: string, { embeddings }: Selection): string {
  return embeddings ? `${table}+` : table
}
