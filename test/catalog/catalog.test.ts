import { readFileSync, readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { ScopeRule } from '../../protocol/rows/table.ts'
import { generateSchemaModule, loadCatalog } from '../../server/catalog/catalog.ts'
import { schemaHash } from '../../server/catalog/generate.ts'
import { triggerSql } from '../../server/catalog/trigger-sql.ts'
import { shippedSchema, schemaHash as shippedHash } from '../../client-sdk/schema.generated.ts'

const catalog = loadCatalog()
const root = new URL('../../', import.meta.url)

test('the schema that the SDK ships is the one that the entities declare', () => {
  expect(readFileSync(new URL('client-sdk/schema.generated.ts', root), 'utf8')).toBe(
    generateSchemaModule(catalog.schema),
  )
  expect(shippedSchema).toEqual(catalog.schema)
  expect(shippedHash).toBe(catalog.schemaHash)
})

test('the hash of a schema depends on every fact of it, and not on the order of tables', () => {
  const reversed = Object.fromEntries(Object.entries(catalog.schema).reverse())
  expect(schemaHash(reversed)).toBe(schemaHash(catalog.schema))
  const { tasks, ...others } = catalog.schema
  if (!tasks) throw new Error('The shipped schema has tasks.')
  expect(schemaHash({ ...others, tasks: { ...tasks, policy: 'lww' } })).not.toBe(schemaHash(catalog.schema))
})

test('the migrations install the triggers that the entities ask for', () => {
  const folder = new URL('migrations/', root)
  const text = readdirSync(folder)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join()
  const missing = [...catalog.byName.values()].flatMap(triggerSql).filter((statement) => !text.includes(statement))
  expect(missing).toEqual([])
})

test('what the server alone may know is in no descriptor', () => {
  const names = Object.values(catalog.schema).flatMap((table) =>
    Object.values(table.columns).map((column) => `${table.name}.${column.name}`),
  )
  expect(names).not.toContain('devices.public_key')
  expect(names).not.toContain('memories.search_vector')
  for (const secret of ['credentials', 'user_credentials', 'auth_sessions', 'access_tokens', 'sync_mutations']) {
    expect(catalog.byName.get(secret)).toMatchObject({ direction: 'server', descriptor: undefined })
    expect(catalog.synced.has(secret)).toBe(false)
  }
})

test('columns that the server fills are of class server', () => {
  const filled = [
    'id',
    'organizationId',
    'channel',
    'version',
    'createdAt',
    'updatedAt',
    'deletedAt',
    'originDeviceId',
    'createdByUserId',
    'createdByAgentId',
  ]
  const others = Object.values(catalog.schema).flatMap((table) =>
    filled
      .filter((property) => table.columns[property] && table.columns[property].class !== 'server')
      .map((property) => `${table.name}.${property}`),
  )
  expect(others).toEqual([])
})

test('bounds and values come from the declarations behind the CHECKs', () => {
  expect(catalog.schema['tasks']?.columns).toMatchObject({
    title: { type: 'text', minLength: 1, maxLength: 255 },
    progressPercentage: { type: 'numeric', precision: 5, scale: 2, min: 0, max: 100, default: 0 },
    status: { values: expect.arrayContaining(['pending', 'in_review']), default: 'pending' },
    priorityRank: { class: 'server', nullable: true },
    projectId: { class: 'fixed', references: 'projects' },
    description: { class: 'text3' },
  })
  expect(catalog.schema['memories']?.columns).toMatchObject({
    accessCount: { class: 'counter' },
    embedding: { type: 'vector', dimension: 384 },
  })
})

/** Properties that a rule names. */
function columnsOf(rule: ScopeRule): readonly string[] {
  switch (rule.kind) {
    case 'columns':
      return rule.columns.map(({ column }) => column)
    case 'via':
      return [rule.column]
    case 'row':
      return ['scope', 'projectId', 'teamId', 'userId', 'agentId']
    default:
      return []
  }
}

test('every column that a declaration names exists', () => {
  for (const table of catalog.synced.values()) {
    const { scope, guests, naturalKey = [], transitions = {}, columns } = table.descriptor
    for (const property of [...columnsOf(scope), ...naturalKey, ...table.fixed, ...table.silent]) {
      expect.soft(Object.keys(columns), `${table.name}.${property}`).toContain(property)
    }
    for (const [from, to] of Object.entries(transitions)) {
      for (const status of [from, ...to]) expect.soft(columns['status']?.values).toContain(status)
    }
    if (guests) {
      const naming = catalog.synced.get(guests.table)?.descriptor.columns ?? {}
      if (guests.table === table.name) expect.soft(guests.column).toBe('id')
      else expect.soft(naming[guests.column]).toMatchObject({ references: table.name, class: 'fixed' })
      for (const property of Object.values(guests.by)) expect.soft(Object.keys(naming)).toContain(property)
      if (guests.owner) expect.soft(columns[guests.owner]).toMatchObject({ references: 'users' })
    }
    if (scope.kind === 'via') {
      expect.soft(columns[scope.column]).toMatchObject({ references: scope.parent, class: 'fixed' })
    }
  }
})
