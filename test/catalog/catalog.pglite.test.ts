import { afterAll, beforeAll, expect, test } from 'vitest'
import { toProperty, type ColumnDescriptor } from '../../protocol/rows/table.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { triggerSql } from '../../server/catalog/trigger-sql.ts'
import { toColumnName } from '../../server/entities/define.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const catalog = loadCatalog()
let db: TestDatabase
beforeAll(async () => {
  db = await createTestDatabase()
})
afterAll(() => db.close())

/** The type of a descriptor as PostgreSQL prints it. */
function sqlTypes({ type, precision, scale, dimension }: ColumnDescriptor): readonly string[] {
  switch (type) {
    case 'integer':
      return ['integer', 'smallint']
    case 'numeric':
      return [`numeric(${precision},${scale})`]
    case 'timestamptz':
      return ['timestamp(3) with time zone']
    case 'double':
      return ['double precision']
    case 'vector':
      return [`vector(${dimension})`]
    default:
      return [type]
  }
}

test('every table and column of the database is in the catalog, and no other', async () => {
  const { rows } = await db.database.pool.query<{ table: string; columns: string[] }>(`
    select c.relname as table, array_agg(a.attname::text order by a.attname) as columns
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'mikro_orm_migrations'
    group by 1`)
  const inDatabase = Object.fromEntries(rows.map(({ table, columns }) => [table, columns]))
  const inCatalog = Object.fromEntries(
    [...catalog.byName.values()].map((table) => [table.name, table.sqlColumns.map(({ name }) => name).sort()]),
  )
  expect(inCatalog).toEqual(inDatabase)
})

test('every described column has the type, nullability and default of the database', async () => {
  const { rows } = await db.database.pool.query(`
    select c.relname as table, a.attname as column, format_type(a.atttypid, a.atttypmod) as type, not a.attnotnull as nullable,
      d.adbin is not null or a.attgenerated <> '' as defaulted
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')`)
  let compared = 0
  for (const { table, column, type, nullable, defaulted } of rows) {
    const described = catalog.synced.get(table)?.descriptor.columns[toProperty(column)]
    if (!described) continue
    compared++
    expect
      .soft({ table, column, name: described.name, nullable: described.nullable ?? false })
      .toEqual({ table, column, name: column, nullable })
    expect.soft(sqlTypes(described), `${table}.${column}`).toContain(type)
    const mayBeLeftOut = nullable || defaulted || described.class === 'server'
    expect.soft(described.optional ?? false, `${table}.${column} may be left out`).toBe(mayBeLeftOut)
  }
  const described = [...catalog.synced.values()].reduce(
    (sum, table) => sum + Object.keys(table.descriptor.columns).length,
    0,
  )
  expect(compared).toBe(described)
})

test('every foreign key of the catalog is in the database with its delete rule', async () => {
  const { rows } = await db.database.pool.query(`
    select format('%s.%s -> %s %s', c.conrelid::regclass, a.attname, c.confrelid::regclass, c.confdeltype) as key
    from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    where c.contype = 'f' and c.connamespace = 'public'::regnamespace`)
  const rules = { cascade: 'c', 'set null': 'n', restrict: 'r' }
  const declared = [...catalog.byName.values()].flatMap((table) =>
    table.foreignKeys.map((key) => `${table.name}.${key.column} -> ${key.table} ${rules[key.onDelete]}`),
  )
  expect(declared.sort()).toEqual(rows.map<string>(({ key }) => key).sort())
})

test('every foreign key that a delete follows has an index', async () => {
  const { rows } = await db.database.pool.query(`
    select indrelid::regclass::text as table, a.attname as column from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where indpred is null`)
  const led = new Set(rows.map(({ table, column }) => `${table}.${column}`))
  const bare = [...catalog.byName.values()].flatMap((table) =>
    table.foreignKeys
      .filter((key) => !key.author && !led.has(`${table.name}.${key.column}`))
      .map((key) => `${table.name}.${key.column}`),
  )
  expect(bare).toEqual([])
})

test('every synced table has the triggers that its declaration asks for', async () => {
  const { rows } = await db.database.pool.query(`
    select c.relname as table, array_agg(t.tgname::text order by t.tgname) filter (where t.tgname ~ '^(a_channel|b_touch|capture_.*|a_stamp_.*|a_revision_.*)$') as triggers, c.relreplident as identity
    from pg_class c left join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') group by c.oid`)
  for (const { table: name, triggers, identity } of rows) {
    const table = catalog.byName.get(name)
    if (!table) continue
    const statements = triggerSql(table).join()
    const expected = [
      ...(statements.includes('install_channel') ? ['a_channel'] : []),
      ...(statements.includes('install_touch') ? ['b_touch'] : []),
      ...Object.keys(table.stamps).map((property) => `a_stamp_${toColumnName(property)}`),
      ...Object.keys(table.revisions).map((property) => `a_revision_${toColumnName(property)}`),
      ...(statements.includes('install_capture')
        ? ['capture_delete', 'capture_insert', 'capture_truncate', 'capture_update']
        : []),
    ]
    expect.soft({ name, triggers: triggers ?? [] }).toEqual({ name, triggers: expected.toSorted() })
    const travels = table.descriptor !== undefined && 'channel' in table.descriptor.columns
    expect.soft({ name, identity }).toEqual({ name, identity: travels ? 'i' : 'd' })
  }
})
