import { afterAll, beforeAll, expect, test } from 'vitest'
import { readCatalog } from './read-catalog.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await createTestDatabase({ migrated: false })
})
afterAll(() => db.close())

const catalogOf = (): Promise<readonly string[]> => readCatalog(db.database.pool)

test('up, down to nothing and up again gives the same database', async () => {
  const empty = await catalogOf()
  const names = await db.database.migrate()
  const first = await catalogOf()
  expect(first.length).toBeGreaterThan(empty.length + 500)
  for (const name of [...names].reverse()) expect(await db.database.rollback()).toBe(name)
  expect(await catalogOf()).toEqual(empty)
  await db.database.migrate()
  expect(await catalogOf()).toEqual(first)
}, 600_000)

test('migrating a migrated database does nothing', async () => {
  expect(await db.database.migrate()).toEqual([])
})

test('the entities are what the snapshot of the migrations says', async () => {
  const orm = await db.database.orm()
  expect(await orm.migrator.checkSchema()).toBe(false)
})

test('the entities are what the database has', async () => {
  const orm = await db.database.orm()
  expect(await orm.schema.getUpdateSchemaSQL({ wrap: false })).toBe('')
})
