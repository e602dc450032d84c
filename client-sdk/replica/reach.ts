import { rowId as idOf, type Row } from '../../protocol/rows/row.ts'
import { parentOf, subChannels, tableOf, type Here, type Tables } from '../store/holding.ts'
import type { ReplicaStore } from '../store/store.ts'

interface Found {
  readonly table: string
  readonly row: Row
}

/**
 * What tells where rows belong: the rows that they hang under, all the way up, and the guests of them all. For rows
 * with pending writes only, so few.
 */
export async function loadDecidingRows(tables: Tables, store: ReplicaStore, rows: readonly Found[]): Promise<Here> {
  const found = new Map<string, Map<string, Row>>()
  const add = (table: string, row: Row): void => {
    found.set(table, (found.get(table) ?? new Map<string, Row>()).set(idOf(row), row))
  }
  for (let level = rows; level.length > 0;) {
    for (const { table, row } of await guestsOf(tables, store, level)) add(table, row)
    const next: Found[] = []
    for (const [table, ids] of parentIds(tables, level)) {
      const missing = [...ids].filter((id) => found.get(table)?.has(id) !== true)
      for (const row of await store.rows(table, missing)) {
        add(table, row)
        next.push({ table, row })
      }
    }
    level = next
  }
  return { row: (table, id) => found.get(table)?.get(id), rows: (table) => found.get(table)?.values() ?? [] }
}

function parentIds(tables: Tables, rows: readonly Found[]): ReadonlyMap<string, ReadonlySet<string>> {
  const parents = subChannels(tables)
  const wanted = new Map<string, Set<string>>()
  for (const { table, row } of rows) {
    const parent = parentOf(tables, parents, tableOf(tables, table), row)
    if (parent?.id === undefined) continue
    const { name } = parent.table
    wanted.set(name, (wanted.get(name) ?? new Set<string>()).add(parent.id))
  }
  return wanted
}

/** Deleted ones too: whoever has left is no guest, but tells that the others are known. */
async function guestsOf(tables: Tables, store: ReplicaStore, rows: readonly Found[]): Promise<readonly Found[]> {
  const found: Found[] = []
  for (const [table, shared] of Map.groupBy(rows, ({ table }) => table)) {
    const { guests } = tableOf(tables, table)
    if (guests === undefined || guests.table === table || !tables.has(guests.table)) continue
    const ids = [...new Set(shared.map(({ row }) => idOf(row)))]
    const where = { [guests.column]: { in: ids } }
    for (const row of await store.query(guests.table, { where, withDeleted: true }))
      found.push({ table: guests.table, row })
  }
  return found
}
