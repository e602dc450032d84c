// Tables of an application in a database that has the shipped ones.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as application from '../../examples/notes/application.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { draftMigration, openDatabase, type Database } from '../../server/db/db.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let db: TestDatabase
let own: Database
beforeAll(async () => {
  db = await createTestDatabase()
  await db.database.close()
  own = await openDatabase({ database: db.config }, { own: application })
})
afterAll(async () => {
  await own.close()
  await db.close()
})

/** But for how lines are broken. */
const text = (module: string | undefined): string => (module ?? '').replaceAll(/\s+|,(?=\s*\))/g, '')

test('a migration is drafted, applied once, drafted no more, and taken back with all that it made', async () => {
  const notes = [...loadCatalog(application.entities).byName.values()].filter(({ name }) => name === 'notes')
  const drafted = text(await draftMigration(own, 'AddNotes', notes))
  expect(drafted).toBe(text(readFileSync(new URL('../../examples/notes/add-notes.ts', import.meta.url), 'utf8')))

  expect(await own.migrate()).toEqual(['AddNotes'])
  expect(await own.migrate()).toEqual([])
  expect(await draftMigration(own, 'AddNotes', notes)).toBeUndefined()
  await own.pool.query('alter table notes drop column mood')
  expect(await draftMigration(own, 'AddMood', notes)).toMatch(
    /alter table "notes" add (column )?"mood"[\s\S]*install_touch/,
  )

  const functions = `select proname from pg_proc where pronamespace = 'sync'::regnamespace and proname ~ '_notes(_|$)'`
  expect((await own.pool.query(functions)).rows).toHaveLength(6)
  expect(await own.rollback()).toBe('AddNotes')
  expect((await own.pool.query(functions)).rows).toEqual([])
  expect(await own.migrate()).toEqual(['AddNotes'])
})

test('who does not know the application is told so when the newest migration is of it', async () => {
  await own.migrate()
  const bare = await openDatabase({ database: db.config }, { mode: 'attach' })
  await expect(bare.rollback()).rejects.toMatchObject({
    code: 'invalid_schema',
    message: expect.stringContaining('AddNotes') as string,
  })
  await bare.close()
})

test('two migrations of one name are refused before anything is applied', async () => {
  const twice = { migrations: [...application.migrations, ...application.migrations] }
  const bare = await openDatabase({ database: db.config }, { mode: 'attach', own: twice })
  await expect(bare.migrate()).rejects.toMatchObject({ code: 'invalid_schema' })
  await bare.close()
})
