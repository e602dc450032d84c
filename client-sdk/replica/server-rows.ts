import { rowId as idOf, type Row } from '../../protocol/rows/row.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { compileHolds, tableOf, decidingTables, type Here } from '../store/holding.ts'
import type { ReplicaStore } from '../store/store.ts'
import type { Mirror } from './mirror.ts'

/** Visits the rows that a subscription holds, as the server last sent them: where writes are pending, without those. */
export async function visitServerRows(
  mirror: Mirror,
  store: ReplicaStore,
  subscription: Subscription,
  tables: readonly string[],
  visit: (table: string, row: Row) => void,
): Promise<void> {
  const read = new Map<string, ReadonlyMap<string, Row>>()
  const rowsOf = async (name: string): Promise<ReadonlyMap<string, Row>> => {
    const known = read.get(name) ?? (await readTable(mirror, store, name))
    read.set(name, known)
    return known
  }
  const here: Here = {
    row: (name, id) => read.get(name)?.get(id),
    rows: (name) => read.get(name)?.values() ?? [],
  }
  for (const name of tables) {
    if (!mirror.tables.has(name)) continue
    const table = tableOf(mirror.tables, name)
    for (const deciding of decidingTables(mirror.tables, table)) await rowsOf(deciding)
    const holds = compileHolds(mirror.tables, table, [subscription], here)
    for (const row of (await rowsOf(name)).values()) if (holds(row)) visit(name, row)
  }
}

async function readTable(mirror: Mirror, store: ReplicaStore, name: string): Promise<ReadonlyMap<string, Row>> {
  const rows = new Map((await store.query(name, { withDeleted: true })).map((row) => [idOf(row), row]))
  for (const [id, { serverImage }] of mirror.states.of(name)) {
    if (serverImage === null) rows.delete(id)
    else rows.set(id, serverImage)
  }
  return rows
}
