import { afterAll, beforeAll, expect, test } from 'vitest'
import { consolidateMigrations } from '../../server/db/db.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { readCatalog } from './read-catalog.ts'

let migrated: TestDatabase
let empty: TestDatabase
beforeAll(async () => {
  migrated = await createTestDatabase()
  empty = await createTestDatabase({ migrated: false })
})
afterAll(async () => {
  await migrated.close()
  await empty.close()
})

test('the script of all migrations makes the same database, and migrate finds nothing to do but shipping rows', async () => {
  const { sql, migrations } = await consolidateMigrations()
  await empty.database.pool.query(sql)
  const ledger = `select name from mikro_orm_migrations order by name`
  const names = (rows: readonly unknown[]) => rows.map((row) => (row as { name: string }).name.replace(/\.ts$/, ''))
  expect(names((await empty.database.pool.query(ledger)).rows)).toEqual(migrations)
  expect(names((await migrated.database.pool.query(ledger)).rows)).toEqual(migrations)
  expect(await empty.database.migrate()).toEqual([])
  expect(await readCatalog(empty.database.pool)).toEqual(await readCatalog(migrated.database.pool))
  const shipped = 'select count(*)::int as n from enum_values'
  expect((await empty.database.pool.query(shipped)).rows).toEqual((await migrated.database.pool.query(shipped)).rows)
  const columns = `select column_name, data_type, character_maximum_length, is_nullable from information_schema.columns where table_name = 'mikro_orm_migrations' order by ordinal_position`
  expect((await empty.database.pool.query(columns)).rows).toEqual((await migrated.database.pool.query(columns)).rows)
})
