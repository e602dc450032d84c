// Triggers that fire for some columns only, against the same triggers for all: an update leaves the same rows behind.
import fc from 'fast-check'
import type { PoolClient } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { SampleRows } from '../support/sample-rows.ts'
import { allColumns } from '../support/schema-ddl.ts'
import { readSchemaPage, type DocColumn } from '../support/schema-notation.ts'

/** Those with triggers that look at columns, and what they write to. */
const tables = [
  'organizations organization_members projects plans phases macro_steps tasks task_runs agents agent_capabilities conversations',
  'conversation_participants messages memories memory_logs knowledge_entries documents document_versions prompts workflows',
].flatMap((names) => names.split(' '))
const logs = new Set(['memory_logs', 'document_versions'])
/** Of these there is one row for one parent. */
const single = new Set(['organization_members', 'conversation_participants'])

const page = readSchemaPage()
const columnsOf = new Map(page.tables.map((table) => [table.name, allColumns(table)]))
const moment = '2026-03-04T05:06:07.000Z'

const limited = `
  select c.relname as table, t.tgname as name, pg_get_triggerdef(t.oid) as definition, t.tgenabled as state,
    array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum = any (t.tgattr::int2[])) as columns
  from pg_trigger t join pg_class c on c.oid = t.tgrelid
  where c.relnamespace = 'public'::regnamespace and not t.tgisinternal and (t.tgtype & 1) > 0 and cardinality(t.tgattr::int2[]) > 0`

let db: TestDatabase
/** Table to the ids of its rows. */
const ids = new Map<string, readonly string[]>()
/** Columns that a trigger looks at, as `table.column`. */
let watched: ReadonlySet<string>
beforeAll(async () => {
  db = await createTestDatabase()
  const samples = new SampleRows(db.database.pool, page.tables)
  for (const table of tables)
    if (!logs.has(table)) {
      const [one, other] = [
        await samples.parent(table),
        single.has(table) ? [] : [await samples.parent(table, 'second')],
      ]
      ids.set(table, [one, ...other])
    }
})
/** One task is held by an agent, in a plan. */
beforeAll(async () => {
  const of = (table: string): string | undefined => ids.get(table)?.[0]
  await db.database.pool.query(
    `update tasks set status = 'in_progress', lease_expires_at = '2046-01-01', assigned_by_claim = true, assigned_agent_id = $2, attempt_count = 1,
      plan_id = $3, macro_step_id = $4 where id = $1`,
    [of('tasks'), of('agents'), of('plans'), of('macro_steps')],
  )
})
beforeAll(async () => {
  const { rows: found } = await db.database.pool.query<{ table: string; columns: readonly string[] }>(limited)
  watched = new Set(found.flatMap(({ table, columns }) => columns.map((column) => `${table}.${column}`)))
})
afterAll(() => db.close())

/** Updates of one row, one after the other: each sets up to three columns. */
interface Case {
  readonly table: string
  readonly row: number
  readonly updates: readonly (readonly (readonly [watched: boolean, column: number, value: number])[])[]
}

const cases: fc.Arbitrary<Case> = fc.record({
  table: fc.constantFrom(...tables.filter((table) => !logs.has(table)), ...Array.from({ length: 8 }, () => 'tasks')),
  row: fc.nat(1),
  updates: fc.array(fc.array(fc.tuple(fc.boolean(), fc.nat(999), fc.nat(7)), { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 4,
  }),
})

function valueOf(column: DocColumn, choice: number): unknown {
  if (choice === 0 && !column.notNull) return null
  if (column.references) return ids.get(column.references.table)?.[choice % 2] ?? null
  if (column.values) return column.values[choice % column.values.length]
  switch (column.type.replace(/\(.*/, '')) {
    case 'boolean':
      return choice % 2 === 0
    case 'integer':
    case 'bigint':
    case 'smallint':
    case 'numeric':
    case 'double precision':
      return [0, 0.25, 1, 2, 3, 20, 50, 100][choice]
    case 'timestamptz':
      return moment
    case 'jsonb':
      return ['{}', '{"skills":[]}', '{"runtime":{"mobileCapable":true}}', '[]', '{"steps":[]}', '{"a":1}', '1', '{}'][
        choice
      ]
    case 'text[]':
      return [`t${choice}`]
    case 'vector':
      return `[${Array.from({ length: 384 }, (_, place) => (place + choice) % 7).join()}]`
    case 'uuid':
      return ids.get('users')?.[0] ?? null
    default:
      return `text ${choice}`
  }
}

async function apply(client: PoolClient, { table, row }: Case, set: Case['updates'][number]): Promise<string> {
  const columns = (columnsOf.get(table) ?? []).filter(({ generated }) => generated === undefined)
  const looked = columns.filter(({ name }) => watched.has(`${table}.${name}`))
  const chosen = new Map(
    set.flatMap(([isWatched, place, choice]) => {
      const among = isWatched && looked.length > 0 ? looked : columns
      const column = among[place % among.length]
      return column ? [[column.name, valueOf(column, choice)] as const] : []
    }),
  )
  const assignments = [...chosen.keys()].map((name, place) => `"${name}" = $${place + 2}`)
  const id = ids.get(table)?.[row] ?? ids.get(table)?.[0]
  await client.query('savepoint one')
  try {
    await client.query(`update ${table} set ${assignments.join(', ')} where id = $1`, [id, ...chosen.values()])
    return 'stored'
  } catch (error) {
    await client.query('rollback to one')
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

/** All rows of the tables, where times of the transaction and ids that it has made count as such only. */
async function rows(client: PoolClient): Promise<readonly string[]> {
  const { rows: found } = await client.query<{ row: string }>(
    tables
      .map((name) => `select '${name} ' || (to_jsonb(t) - 'search_vector')::text as row from ${name} t`)
      .join(' union all '),
  )
  const known = new Set([...ids.values()].flat())
  return found
    .map(({ row }) =>
      row
        .replaceAll(/"\d{4}-\d\d-\d\dT[^"]*"/g, (time) => (time.startsWith('"2026-03-04') ? time : '"a time"'))
        .replaceAll(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g, (id) => (known.has(id) ? id : 'an id')),
    )
    .toSorted()
}

/** What each case leaves behind, and how often an update was stored. */
async function outcomes(tried: readonly Case[]) {
  const client = await db.database.pool.connect()
  try {
    const all = []
    for (const one of tried) {
      await client.query('begin')
      const answers = []
      for (const set of one.updates) answers.push(await apply(client, one, set))
      all.push({ one, answers, rows: await rows(client) })
      await client.query('rollback')
    }
    return all
  } finally {
    client.release()
  }
}

async function widenTriggers(): Promise<number> {
  const { rows: found } =
    await db.database.pool.query<Readonly<Record<'table' | 'name' | 'definition' | 'state', string>>>(limited)
  for (const { table, name, definition, state } of found) {
    const all = definition
      .replace('CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER')
      .replace(/ UPDATE OF .*? ON /, ' UPDATE ON ')
    await db.database.pool.query(all)
    if (state === 'A') await db.database.pool.query(`alter table ${table} enable always trigger "${name}"`)
  }
  return found.length
}

test('an update does the same whether or not triggers fire for the columns alone that they look at', async () => {
  const runs = Number(process.env['PROPERTY_RUNS'] ?? 300)
  const tried = fc.sample(cases, { seed: 184_100, numRuns: runs })
  const before = await outcomes(tried)
  expect(await widenTriggers()).toBeGreaterThan(80)
  const after = await outcomes(tried)
  for (const [place, { one, answers, rows: left }] of before.entries())
    expect({ one, answers, left }).toEqual({ one, answers: after[place]?.answers, left: after[place]?.rows })
  expect(before.flatMap(({ answers }) => answers).filter((answer) => answer === 'stored').length).toBeGreaterThan(
    runs / 4,
  )
}, 300_000)
