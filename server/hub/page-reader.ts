import type { Row } from '../../protocol/rows/row.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { selectList, toRow } from '../db/row-codec.ts'
import type { Homes } from '../scope/homes.ts'
import type { PageRequest, PageResult, Selection } from './feed.ts'
import { fromToken, toToken, type PagePlace } from './page-token.ts'
import { occupiedSql, selectionSql } from './selection-sql.ts'
import type { Snapshot } from './snapshot.ts'

export interface PageOptions {
  readonly catalog: Catalog
  readonly homes: Homes
  readonly raw: Snapshot['raw']
}

/**
 * One page: by table in the order of the selection, within a table by id, small tables together. What is
 * written meanwhile may be missed or seen by later pages; either way it is in the catch-up that ends the bootstrap.
 */
export async function readPage(
  { selection, after, maxRows }: PageRequest,
  options: PageOptions,
): Promise<Omit<PageResult, 'from'>> {
  const { catalog, homes, raw } = options
  const tables: { table: string; rows: readonly Row[] }[] = []
  let place: PagePlace = fromToken(after)
  const occupied = await occupiedTables(selection, place.table, options)
  let room = maxRows
  while (room > 0) {
    const name = selection.tables[place.table]
    const table = name === undefined ? undefined : catalog.synced.get(name)
    if (name === undefined) return { tables, next: null }
    const columns = table ? selectList(table, selection, 't') : ''
    const page = { afterId: place.afterId, limit: room }
    const statement = occupied.has(place.table)
      ? selectionSql({ catalog, homes, selection, table: name, columns, page })
      : undefined
    const rows = table && statement ? (await raw(statement)).map((row) => toRow(table, row)) : []
    if (rows.length > 0) tables.push({ table: name, rows })
    const last = rows.length === room ? rows.at(-1) : undefined
    place = last ? { table: place.table, afterId: String(last['id']) } : { table: place.table + 1, afterId: null }
    room -= rows.length
  }
  return { tables, next: toToken(place) }
}

async function occupiedTables(
  selection: Selection,
  first: number,
  { catalog, homes, raw }: PageOptions,
): Promise<ReadonlySet<number>> {
  // A page that goes on within the last table needs no look around.
  if (first >= selection.tables.length - 1) return new Set([first])
  const statement = occupiedSql(catalog, homes, selection, first)
  const [row] = statement ? await raw(statement) : []
  return new Set(
    (row?.[0] ?? '')
      .split(',')
      .filter((index) => index !== '')
      .map(Number),
  )
}
