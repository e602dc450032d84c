import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { SampleRows } from '../support/sample-rows.ts'
import { readSchemaPage } from '../support/schema-notation.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await createTestDatabase()
})
afterAll(() => db.close())

type Rows = ReadonlyMap<string, readonly Readonly<Record<string, unknown>>[]>

async function everything(): Promise<Rows> {
  const { rows: tables } = await db.database.pool.query<{ name: string }>(`
    select c.relname as name from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and c.relname <> 'mikro_orm_migrations' order by 1`)
  const all = new Map<string, Readonly<Record<string, unknown>>[]>()
  for (const { name } of tables) {
    const { rows } = await db.database.pool.query<{ row: Record<string, unknown> }>(
      `select to_jsonb(t) as row from "${name}" t order by to_jsonb(t)::text`,
    )
    all.set(
      name,
      rows.map(({ row }) => row),
    )
  }
  return all
}

test('the newest migrations are taken back without losing anything but what they brought', async () => {
  const { tables } = readSchemaPage()
  const samples = new SampleRows(db.database.pool, tables)
  // Made by the first start, and by migrations.
  const own = new Set(['sync_heads', 'sync_capture', 'sync_changes', 'sync_tables'])
  for (const { name } of tables) if (!own.has(name)) await samples.parent(name)
  const before = await everything()
  expect([...before.values()].filter((rows) => rows.length > 0).length).toBeGreaterThan(80)
  for (let back = 0; back < 3; back++) {
    await db.database.rollback()
    for (const [table, rows] of await everything()) {
      // What the migration added to a row went with it.
      const columns = Object.keys(rows[0] ?? {})
      const kept = (before.get(table) ?? []).map((row) =>
        Object.fromEntries(columns.flatMap((column) => (column in row ? [[column, row[column]]] : []))),
      )
      const known = new Set(columns)
      const found = rows.map((row) => Object.fromEntries(Object.entries(row).filter(([column]) => known.has(column))))
      const byText = (list: readonly unknown[]) => list.map((row) => JSON.stringify(row)).toSorted()
      expect.soft({ table, rows: byText(found) }).toEqual({ table, rows: byText(kept) })
    }
  }
  expect((await db.database.migrate()).length).toBe(3)
  expect([...(await everything()).keys()]).toEqual([...before.keys()])
})
