import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import type { ReplicaStore } from '../../client-sdk/store/store.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { Schema } from '../../protocol/rows/table.ts'

/**
 * What a newer version of the app, whose tables may have more columns, finds in the store of the one before. As
 * `prepareSchema` of PGlite does it: tables are made anew and hold only rows that pending writes have touched; nothing
 * is staged, and every subscription is fetched again. `replica-schema.pglite.test.ts` compares the two.
 */
export async function updatedStore(before: ReplicaStore, schema: Schema): Promise<ReplicaStore> {
  const after = createMemoryStore(schema)
  const { meta, outbox, states, subscriptions } = await before.load()
  const touched = new Map<string, Set<string>>()
  const touch = (table: string, id: string): void => {
    touched.set(table, (touched.get(table) ?? new Set()).add(id))
  }
  for (const { table, rowId } of states) touch(table, rowId)
  for (const { status, mutation } of outbox) if (status !== 'synced') touch(mutation.table, mutation.rowId)
  const rows: { readonly table: string; readonly upserts: readonly Row[]; readonly deletes: readonly string[] }[] = []
  for (const [table, ids] of touched) rows.push({ table, upserts: await before.rows(table, [...ids]), deletes: [] })
  await after.commit({
    rows,
    outbox: { puts: outbox, deletes: [] },
    states: { puts: states, deletes: [] },
    subscriptions: {
      puts: subscriptions.map(({ subscription }) => ({ subscription, state: 'new', from: null, next: null })),
      deletes: [],
    },
    meta: { ...meta, cursor: null, lacksColumns: false },
  })
  return after
}
