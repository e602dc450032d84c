import type { Row } from '../../protocol/rows/row.ts'
import { tableOf, type Lookup, type Tables } from '../store/holding.ts'
import type { ReplicaStore } from '../store/store.ts'

/**
 * The parents of rows of `via` tables, and theirs, so that it can be told in one go through which channels a replica
 * holds the rows. Rows with pending writes only, so few.
 */
export async function loadParents(
  tables: Tables,
  store: ReplicaStore,
  rows: readonly { readonly table: string; readonly row: Row }[],
): Promise<Lookup> {
  const found = new Map<string, Row>()
  let wanted = parentsOf(tables, rows)
  while (wanted.size > 0) {
    const next: { table: string; row: Row }[] = []
    for (const [table, ids] of wanted) {
      for (const row of await store.rows(
        table,
        [...ids].filter((id) => !found.has(`${table}/${id}`)),
      )) {
        found.set(`${table}/${String(row['id'])}`, row)
        next.push({ table, row })
      }
    }
    wanted = parentsOf(tables, next)
  }
  return (table, id) => found.get(`${table}/${id}`)
}

function parentsOf(
  tables: Tables,
  rows: readonly { readonly table: string; readonly row: Row }[],
): ReadonlyMap<string, ReadonlySet<string>> {
  const wanted = new Map<string, Set<string>>()
  for (const { table, row } of rows) {
    const { scope } = tableOf(tables, table)
    if (scope.kind !== 'via') continue
    const id = row[scope.column]
    if (typeof id === 'string') wanted.set(scope.parent, (wanted.get(scope.parent) ?? new Set<string>()).add(id))
  }
  return wanted
}
