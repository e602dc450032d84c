import { readFileSync } from 'node:fs'
import type { InferEntity } from '@mikro-orm/core'
import { expect, expectTypeOf, test } from 'vitest'
import * as application from '../../examples/notes/application.ts'
import { schema as exampleSchema } from '../../examples/notes/schema.generated.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { generateApplicationModule } from '../../server/catalog/generate.ts'
import { triggerSql } from '../../server/catalog/trigger-sql.ts'
import { date, enumeration, reference, text, tsvector } from '../../server/entities/column.ts'
import { defineTable } from '../../server/entities/define.ts'
import { syncedColumns } from '../../server/entities/mixins.ts'

const notes = defineTable({
  table: 'app_notes',
  module: 'app',
  direction: 'rw',
  policy: 'merge',
  writers: ['member'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }], fallback: 'organization' },
  columns: {
    ...syncedColumns(),
    projectId: reference('projects', 'cascade').nullable(),
    title: text().len(1, 80),
    due: date().nullable(),
    mood: enumeration(['calm', 'stormy']).default('calm'),
    searchVector: tsvector().generated(`to_tsvector('simple'::regconfig, title)`),
  },
})

test('a table of an application is in the catalog like the shipped ones', () => {
  const { schema, byName } = loadCatalog([notes])
  expect(schema['appNotes']?.columns).toMatchObject({
    title: { name: 'title', type: 'text', maxLength: 80 },
    due: { type: 'date', nullable: true },
    mood: { values: ['calm', 'stormy'], default: 'calm', optional: true },
    projectId: { name: 'project_id', nullable: true, references: 'projects' },
    version: { class: 'server' },
  })
  expect(schema['appNotes']?.columns).not.toHaveProperty('searchVector')
  const table = byName.get('app_notes')
  expect(table && triggerSql(table)).toEqual([
    `select sync.install_channel('app_notes', $$coalesce('project/' || new.project_id, 'organization/' || new.organization_id)$$)`,
    `select sync.install_touch('app_notes', '{}', '{}')`,
    `select sync.install_capture('app_notes')`,
  ])
})

test('what is generated for its clients takes the shipped tables from the SDK', () => {
  const { schema } = loadCatalog(application.entities)
  const generated = readFileSync(new URL('../../examples/notes/schema.generated.ts', import.meta.url), 'utf8')
  expect(generateApplicationModule(schema, loadCatalog().schema)).toBe(generated)
  expect(exampleSchema).toEqual(schema)
})

test('its entity is typed from the columns', () => {
  type Note = InferEntity<typeof notes>
  expectTypeOf<Note['title']>().toEqualTypeOf<string>()
  expectTypeOf<Note['projectId']>().toEqualTypeOf<string | null | undefined>()
  expectTypeOf<Extract<Note['mood'], 'calm' | 'stormy'>>().not.toBeNever()
  // @ts-expect-error There is no such mood.
  const mood: Note['mood'] = 'sunny'
  expect(mood).toBe('sunny')
})

test('a name can be declared once', () => {
  expect(() =>
    defineTable({ table: 'tasks', module: 'app', direction: 'server', policy: 'server', columns: {} }),
  ).toThrow(expect.objectContaining({ code: 'invalid_schema', message: expect.stringContaining('tasks') }))
})

test('a table that travels needs a scope', () => {
  const homeless = defineTable({
    table: 'app_homeless',
    module: 'app',
    direction: 'rw',
    policy: 'merge',
    columns: syncedColumns(),
  })
  expect(() => loadCatalog([homeless])).toThrow(expect.objectContaining({ code: 'invalid_schema' }))
})

test('a column named in the declaration must exist', () => {
  const declare = () =>
    defineTable({
      table: 'app_typo',
      module: 'app',
      direction: 'server',
      policy: 'server',
      columns: { title: text() },
      // @ts-expect-error There is no column `titel`.
      naturalKey: ['titel'],
    })
  expect(declare).not.toThrow()
})

test.each(['status', 'on_status', 'writes'])('a table cannot be called %s: clients have such a member', (table) => {
  const taken = defineTable({
    table,
    module: 'app',
    direction: 'rw',
    policy: 'merge',
    scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
    columns: syncedColumns(),
  })
  expect(() => loadCatalog([taken])).toThrow(
    expect.objectContaining({
      code: 'invalid_schema',
      message: expect.stringContaining(`Table ${table} would be tide.`),
    }),
  )
})

test('a value of a client cannot name a row that never leaves the server', () => {
  const leaking = defineTable({
    table: 'app_leaks',
    module: 'app',
    direction: 'rw',
    policy: 'merge',
    scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
    columns: { ...syncedColumns(), credentialId: reference('credentials', 'set null').nullable() },
  })
  expect(() => loadCatalog([leaking])).toThrow(
    expect.objectContaining({ code: 'invalid_schema', message: expect.stringContaining('app_leaks.credentialId') }),
  )
})
