// Every CHECK, unique key and foreign key of docs/schema.md has a case that breaks it, and it alone; that the page has
// them all is what test/catalog proves. Triggers are off here: what they fill in would hide what the constraints say.
import { randomUUID } from 'node:crypto'
import type { DatabaseError, Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { oneOf, SampleRows, type SqlValues } from '../support/sample-rows.ts'
import { allColumns, allIndexes } from '../support/schema-ddl.ts'
import { readSchemaPage, type DocColumn, type DocIndex, type DocTable } from '../support/schema-notation.ts'
import { brokenTogether, brokenAlone } from './broken-checks.ts'

const { tables } = readSchemaPage()
let db: TestDatabase
let pool: Pool
let samples: SampleRows
let checkNames: ReadonlyMap<string, readonly string[]>

beforeAll(async () => {
  db = await createTestDatabase()
  pool = db.database.pool
  // The one row of this table is there already.
  await pool.query('delete from sync_heads')
  await pool.query(tables.map(({ name }) => `alter table "${name}" disable trigger user`).join(';'))
  samples = new SampleRows(pool, tables)
  const { rows } = await pool.query<{ table: string; names: readonly string[] }>(`
    select c.relname as table, array_agg(k.conname::text) as names from pg_constraint k join pg_class c on c.oid = k.conrelid
    where k.contype = 'c' and c.relnamespace = 'public'::regnamespace and not c.relispartition group by 1`)
  checkNames = new Map(rows.map(({ table, names }) => [table, names]))
})
afterAll(() => db.close())

/** What the database says to these rows, one after the other, in a transaction that leaves nothing behind. */
async function refusal(table: string, ...rows: readonly SqlValues[]): Promise<Partial<DatabaseError>> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    for (const row of rows) await samples.insert(client, table, row)
    return {}
  } catch (error) {
    return error as DatabaseError
  } finally {
    await client.query('rollback')
    client.release()
  }
}

interface Case {
  readonly constraint: string
  readonly values: SqlValues
}

/** Values that break the rules of one column. */
function columnCases(table: DocTable): readonly Case[] {
  return allColumns(table).flatMap((column) => {
    const constraint = `${table.name}_${column.name}_check`
    const byHand = brokenAlone[constraint]
    const values = byHand ?? brokenValues(column)
    return values.map((value) => ({ constraint, values: { [column.name]: value } }))
  })
}

function brokenValues({ name, values, length, check }: DocColumn): readonly unknown[] {
  if (values) return ['no such value']
  if (length) return [...(length[0] > 0 ? [''] : []), 'x'.repeat(length[1] + 1)]
  if (check === undefined) return []
  const least = new RegExp(`^${name} >=? (-?[\\d.]+)$`).exec(check)?.[1]
  if (least !== undefined) return [Number(least) - 1]
  const bounds = new RegExp(`^${name} between (-?[\\d.]+) and (-?[\\d.]+)$`).exec(check)
  if (bounds) return [Number(bounds[1]) - 1, Number(bounds[2]) + 1]
  if (check.startsWith(`${name} ~ `)) return ['!']
  throw new Error(`Say in broken-checks.ts what breaks: ${check}`)
}

/** Mixins' and tables' rules over several columns. */
function tableCases(table: DocTable): readonly Case[] {
  const author = { created_by_user_id: randomUUID(), created_by_agent_id: randomUUID() }
  const alternatives = oneOf[table.name] ?? []
  const all = Object.fromEntries(alternatives.map((column) => [column, randomUUID()]))
  const none = Object.fromEntries(alternatives.map((column) => [column, null]))
  const scopes = ['project', 'team', 'user', 'agent'].map((scope) => ({ scope }))
  const byHand = Object.entries(brokenTogether).filter(([name]) => name.startsWith(`${table.name}_`))
  return [
    ...(table.mixins.includes('A') ? [{ constraint: `${table.name}_author_check`, values: author }] : []),
    ...(table.mixins.includes('X')
      ? scopes.map((values) => ({ constraint: `${table.name}_scope_id_check`, values }))
      : []),
    ...(alternatives.length > 0
      ? [all, none].map((values) => ({ constraint: alternativesCheck(table.name), values }))
      : []),
    ...byHand.flatMap(([constraint, rows]) => rows.map((values) => ({ constraint, values }))),
  ]
}

function alternativesCheck(table: string): string {
  return table === 'event_subscriptions' ? `${table}_subscriber_check` : `${table}_principal_check`
}

/** Two rows that agree in the key and in nothing else that is unique. */
async function twins(table: DocTable, index: DocIndex): Promise<readonly SqlValues[]> {
  const columns = new Map(allColumns(table).map((column) => [column.name, column]))
  const key: Record<string, unknown> = {}
  for (const name of index.columns) {
    const column = columns.get(name)
    if (!column) throw new Error(`${table.name} has no column ${name}.`)
    const alternative = oneOf[table.name]?.includes(name) === true
    if (column.generated === undefined && (column.notNull || alternative || !index.nullsNotDistinct))
      key[name] = name === 'scope' ? 'organization' : await samples.value(table.name, column)
  }
  // The condition of a partial key: flags that must be up.
  for (const flag of index.where?.match(/\b\w+\b(?= and|$)/g) ?? [])
    if (columns.get(flag)?.type === 'boolean') key[flag] = true
  return [await samples.row(table.name, key), await samples.row(table.name, key)]
}

const casesOf = (table: DocTable): readonly Case[] => [...columnCases(table), ...tableCases(table)]

describe('a row', () => {
  test.each(tables)('of $name is taken with nothing but what it needs', async ({ name }) => {
    expect(await refusal(name, await samples.row(name))).toEqual({})
  })
})

describe('a CHECK', () => {
  test.each(tables)('of $name has a case, whichever it is', (table) => {
    const constraints = new Set(casesOf(table).map(({ constraint }) => constraint))
    expect([...constraints].toSorted()).toEqual((checkNames.get(table.name) ?? []).toSorted())
  })

  const cases = tables.flatMap((table) => casesOf(table).map((one) => ({ ...one, name: table.name })))
  test.each(cases.map((one) => ({ ...one, shown: JSON.stringify(one.values).slice(0, 60) })))(
    '$constraint refuses $shown',
    async ({ name, constraint, values }) => {
      const row = await samples.row(name)
      expect(await refusal(name, { ...row, ...values })).toMatchObject({ code: '23514', constraint })
    },
  )
})

describe('a unique key', () => {
  const keys = tables.flatMap((table) =>
    allIndexes(table)
      .filter(({ kind }) => kind === 'unique')
      .map((index) => ({ table, index, name: table.name, shown: index.columns.join(', ') })),
  )
  test.each(keys)('of $name refuses a second row of the same ($shown)', async ({ table, index }) => {
    const { code, detail = '' } = await refusal(table.name, ...(await twins(table, index)))
    const inKey = /^Key \((.*?)\)=\(/.exec(detail)?.[1]?.replaceAll('"', '').split(', ')
    // Rows of the same id are of the same (id, channel) as well.
    const expected = index.columns.includes('id') ? ['id'] : index.columns
    expect({ code, inKey }).toEqual({ code: '23505', inKey: expected })
  })
})

describe('a foreign key', () => {
  const keys = tables.flatMap((table) =>
    allColumns(table)
      .filter(({ references }) => references)
      .map((column) => ({ name: table.name, column: column.name })),
  )
  test.each(keys)('$name.$column refuses what refers to nothing', async ({ name, column }) => {
    const row = await samples.row(name, { [column]: randomUUID() })
    expect(await refusal(name, row)).toMatchObject({
      code: '23503',
      detail: expect.stringMatching(`^Key \\("?${column}"?\\)=`),
    })
  })
})
