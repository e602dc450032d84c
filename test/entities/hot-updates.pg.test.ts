// Whether Postgres stores an update beside the row it replaces and leaves the indexes alone (HOT): docs/decisions.md
// says what that is worth.
import type { PoolClient } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { toColumnName } from '../../server/entities/define.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { SampleRows } from '../support/sample-rows.ts'
import { readSchemaPage } from '../support/schema-notation.ts'

const catalog = loadCatalog()
let db: TestDatabase
let samples: SampleRows
beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  samples = new SampleRows(db.database.pool, readSchemaPage().tables)
})
afterAll(() => db.close())

/** Columns of any index, with those of its condition, its expressions and what it only carries. */
const indexedColumns = `
  select distinct x.indexrelid::regclass::text as index, x.indrelid::regclass::text as table, a.attname::text as column
  from pg_index x join pg_class t on t.oid = x.indrelid
  join pg_attribute a on a.attrelid = x.indrelid and (
    a.attnum = any (x.indkey) or exists (
      select from pg_depend d
      where d.classid = 'pg_class'::regclass and d.objid = x.indexrelid and d.refobjid = x.indrelid and d.refobjsubid = a.attnum
    )
  )
  where t.relnamespace in ('public'::regnamespace, 'sync'::regnamespace) and a.attnum > 0 and not t.relispartition`

/** Silent, but set once. */
const allowed = new Set(['knowledge_entries_mobile_synced_idx'])

test('no index has a column that every update changes, or that heartbeats do', async () => {
  const { rows } = await db.database.pool.query<{ index: string; table: string; column: string }>(indexedColumns)
  expect(rows.length).toBeGreaterThan(500)
  const broken = rows.filter(({ index, table, column }) => {
    if (allowed.has(index)) return false
    const silent = catalog.byName.get(table)?.silent.map(toColumnName) ?? []
    return ['updated_at', 'version', ...silent].includes(column)
  })
  expect(broken).toEqual([])
})

/**
 * Changes a row in a transaction that is taken back: how many rows of the table that changed, and how many of these
 * without touching an index.
 */
async function update(
  table: string,
  set: string,
  values: readonly unknown[] = [],
): Promise<{ readonly all: number; readonly hot: number }> {
  const id = await samples.parent(table)
  const client = await db.database.pool.connect()
  try {
    await client.query('begin')
    const before = await changes(client, table)
    await client.query(`update ${table} set ${set} where id = $1`, [id, ...values])
    const after = await changes(client, table)
    return { all: after.all - before.all, hot: after.hot - before.hot }
  } finally {
    await client.query('rollback')
    client.release()
  }
}

/** What the process has counted so far and not yet told the others. */
async function changes(client: PoolClient, table: string): Promise<{ readonly all: number; readonly hot: number }> {
  const { rows } = await client.query<{ all: number; hot: number }>(
    `select n_tup_upd::integer as all, n_tup_hot_upd::integer as hot from pg_stat_xact_user_tables where relid = $1::regclass`,
    [table],
  )
  return rows[0] ?? { all: 0, hot: 0 }
}

const often = [
  ['agent_instances', 'a heartbeat', 'last_heartbeat_at = clock_timestamp(), cpu_percent = 12'],
  ['agent_sessions', 'activity', 'last_activity_at = clock_timestamp()'],
  ['agents', 'a heartbeat', `last_heartbeat_at = clock_timestamp(), host_name = 'h'`],
  ['agents', 'usage', `usage_stats = '{"calls": 1}'`],
  ['conversation_participants', 'reading', 'last_read_position = 3'],
  ['conversations', 'a summary', `summary = 's'`],
  ['devices', 'being seen', 'last_seen_at = clock_timestamp(), pending_mutations = 3'],
  ['memories', 'an access', 'access_count = access_count + 1, last_accessed_at = clock_timestamp()'],
  ['memories', 'another importance', 'importance = 0.25'],
  ['messages', 'a cost', 'cost_usd = 1'],
  ['project_states', 'a checkpoint', `checkpoint = '{"step": 1}'`],
  ['projects', 'another description', `description = 'd'`],
  ['task_runs', 'what it used', `input_tokens = 12, resource_usage = '{"cpu": 1}'`],
  ['tasks', 'another place', 'position = 12'],
  ['tasks', 'another description', `description = 'd'`],
  ['tasks', 'progress', 'progress_percentage = 12'],
] as const

test.each(often)('a row of %s takes %s without touching an index', async (table, _, set) => {
  expect(await update(table, set)).toEqual({ all: 1, hot: 1 })
})

test('a new version of a row of any synced table touches no index', async () => {
  const device = await samples.parent('devices')
  const has = (columns: readonly { readonly name: string }[], name: string) => columns.some((one) => one.name === name)
  // Roots of tenancy name no device, and tasks have a key with it.
  const named = [...catalog.synced.values()].filter(
    ({ name, sqlColumns }) => has(sqlColumns, 'version') && has(sqlColumns, 'origin_device_id') && name !== 'tasks',
  )
  expect(named.length).toBeGreaterThan(50)
  for (const { name } of named)
    expect.soft({ name, ...(await update(name, 'origin_device_id = $2', [device])) }).toEqual({ name, all: 1, hot: 1 })
})
