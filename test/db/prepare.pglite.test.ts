import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { shippedRows } from '../../server/catalog/shipped-rows.ts'
import { createWorld, insert, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let db: TestDatabase
let world: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database.pool)
})
afterAll(() => db.close())

const query = async (text: string, values: readonly unknown[] = []) =>
  (await db.database.pool.query(text, [...values])).rows

/** Forgets which rows were shipped last, so that they are shipped again. */
const shipAgain = async (): Promise<void> => {
  await query(`delete from system_settings where key = 'shipped.hash'`)
  await db.database.migrate()
}

const shipped = shippedRows(loadCatalog())

describe('shipped rows', () => {
  test.each(shipped.map(({ table, rows }) => [table, rows] as const))('%s are there', async (table, rows) => {
    const found = await query(`select id from ${table} where id = any ($1)`, [rows.map((row) => row['id'])])
    expect(found).toHaveLength(rows.length)
    expect(new Set(rows.map((row) => row['id'])).size).toBe(rows.length)
  })

  test('give each agent type what it can do, and settings their defaults, which stay as operators change them', async () => {
    const setting = async (key: string) =>
      (await query('select value from system_settings where key = $1', [key]))[0]?.['value']
    expect(
      await query(`select key from agent_types where organization_id is null and default_capabilities = '{}'`),
    ).toEqual([])
    expect(await setting('schema.version')).toEqual(expect.any(Number))
    await db.database.migrate(undefined, { model: 'some-model' })
    expect(await setting('embedding.model')).toBe('some-model')
    await query(`update system_settings set value = '7' where key = 'health.backup_hours'`)
    await shipAgain()
    expect(await setting('health.backup_hours')).toBe(7)
    const health = await query(
      `select sync.get_system_health() -> 'maintenance' -> 'backup' -> 'limit_seconds' as limit`,
    )
    expect(health).toEqual([{ limit: 7 * 3600 }])
  })

  test('keep each log as long as the data model says', async () => {
    const policies = await query(
      `select name, table_name || '.' || time_column as of, condition, extract(day from keep_for)::int as days, action, summary_table as into
       from retention_policies where organization_id is null order by name`,
    )
    expect(
      policies.map((policy) =>
        Object.values(policy)
          .map((value) => value ?? '-')
          .join(' '),
      ),
    ).toEqual([
      'access_tokens access_tokens.expires_at expired 30 delete -',
      'agent_events agent_events.occurred_at none 90 delete -',
      'agent_instances agent_instances.stopped_at stopped 30 delete -',
      'archived_projects project_closures.closed_at none - keep -',
      'audit_logs audit_logs.occurred_at none 730 archive_then_delete -',
      'auth_sessions auth_sessions.expires_at expired 30 delete -',
      'backup_files backup_runs.started_at none 30 archive_then_delete -',
      'cancelled_projects project_closures.closed_at none - keep -',
      'context_vectors context_vectors.expires_at expired - delete -',
      'error_log error_logs.occurred_at none 90 summarize_then_delete error_log_summaries',
      'error_log_summary error_log_summaries.summary_date none 365 delete -',
      'event_metrics event_metrics.occurred_at none 90 delete -',
      'events events.occurred_at none 180 delete -',
      'integration_events integration_events.occurred_at none 90 delete -',
      'maintenance_runs maintenance_runs.started_at none 180 delete -',
      'memories_expired memories.expires_at expired 30 delete -',
      'memory_logs memory_logs.occurred_at none 730 archive_then_delete -',
      'notifications notifications.created_at read 90 delete -',
      'pipeline_artifacts pipeline_artifacts.expires_at expired - delete -',
      'prompt_test_results prompt_test_results.tested_at none - keep -',
      'query_statistics query_statistics.bucket_start none 14 delete -',
      'rag_knowledge knowledge_entries.expires_at expired - delete -',
      'soft_deleted_rows *.deleted_at soft_deleted 30 delete -',
      'sync_changes sync_changes.occurred_at none 90 delete -',
      'sync_conflicts sync_conflicts.resolved_at terminal 180 delete -',
      'sync_mutations sync_mutations.received_at terminal 90 delete -',
      'system_metrics system_metrics.occurred_at none 90 summarize_then_delete system_metric_rollups',
      'token_usage token_usages.occurred_at none 365 summarize_then_delete token_usage_daily',
      'tool_audit_log tool_audit_logs.occurred_at none 365 delete -',
    ])
  })

  test('belong to everyone', async () => {
    for (const table of [
      'agent_types',
      'model_prices',
      'prompts',
      'agent_permissions',
      'document_templates',
      'enum_values',
    ])
      expect(
        await query(
          `select count(*)::int as strays from ${table} where organization_id is null and channel <> 'global'`,
        ),
      ).toEqual([{ strays: 0 }])
  })

  test('shipped again change nothing', async () => {
    const state = async () =>
      Promise.all(
        // But for the fingerprint, which `shipAgain` takes away.
        shipped.map(async ({ table }) =>
          query(
            `select xmin::text, t.* from ${table} t where to_jsonb(t)->>'key' is distinct from 'shipped.hash' order by id`,
          ),
        ),
      )
    const [before, log] = [await state(), await query('select max(seq) as seq from sync_changes')]
    await shipAgain()
    expect(await state()).toEqual(before)
    expect(await query('select max(seq) as seq from sync_changes')).toEqual(log)
  })

  test('follow the release where they are ours, and stay as operators left them where they are theirs', async () => {
    await query(`update agent_types set name = 'X' where key = 'codegen' and organization_id is null`)
    await query(`insert into enum_values (enum_name, value, label) values ('priority', 'someday', 'Someday')`)
    await query(`update retention_policies set keep_for = '7 days' where name = 'events'`)
    await shipAgain()
    expect(await query(`select name from agent_types where key = 'codegen' and organization_id is null`)).toEqual([
      { name: 'Code generation' },
    ])
    expect(
      await query(
        `select value, deprecated_at is not null as deprecated from enum_values where enum_name = 'priority' order by sort_order, value`,
      ),
    ).toEqual([
      { value: 'low', deprecated: false },
      { value: 'someday', deprecated: true },
      { value: 'medium', deprecated: false },
      { value: 'high', deprecated: false },
      { value: 'critical', deprecated: false },
    ])
    expect(await query(`select keep_for::text from retention_policies where name = 'events'`)).toEqual([
      { keep_for: '7 days' },
    ])
  })

  test('say how every table syncs', async () => {
    expect(
      await query(
        `select scope_rule, direction, write_roles, conflict_policy, column_classes from sync_tables where table_name = 'plans'`,
      ),
    ).toEqual([
      {
        scope_rule: 'project(project_id)',
        direction: 'rw',
        write_roles: ['member', 'agent'],
        conflict_policy: 'merge',
        column_classes: { fixed: ['project_id'], server: ['completed_at'] },
      },
    ])
  })
})

describe('an agent type', () => {
  test.each([
    ['agents', () => ({ name: 'a', agent_type: 'poet' })],
    ['tasks', () => ({ title: 'T', project_id: world.project, assigned_agent_type: 'poet' })],
    ['prompts', () => ({ agent_type: 'poet', semver: '1.0.0', prompt_text: 'p' })],
    ['agent_permissions', () => ({ agent_type: 'poet', tool_name: 'read' })],
  ])('of %s must be shipped, or be one of their organization', async (table, row) => {
    const add = async () => insert(db.database.pool, table, { organization_id: world.organization, ...row() })
    await expect(add()).rejects.toMatchObject({
      code: '23503',
      table,
      detail: expect.stringContaining('=(poet) is not present in table "agent_types"'),
    })
    const other = await createWorld(db.database.pool)
    await insert(db.database.pool, 'agent_types', { organization_id: other.organization, key: 'poet', name: 'Poet' })
    await expect(add()).rejects.toMatchObject({ code: '23503' })
    const { id } = await insert(db.database.pool, 'agent_types', {
      organization_id: world.organization,
      key: 'poet',
      name: 'Poet',
    })
    await expect(add()).resolves.toBeDefined()
    await query('update agent_types set deleted_at = now() where id = $1', [id])
  })
})

describe('embeddings', () => {
  test('have the dimension that the database was made with, and no other', async () => {
    await using other = await createTestDatabase({ migrated: false })
    await other.database.migrate(undefined, { dimension: 768 })
    const { rows } = await other.database.pool.query(`
      select distinct a.atttypmod as dimension from pg_attribute a join pg_class c on c.oid = a.attrelid
      where a.atttypid = 'vector'::regtype and c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace`)
    expect(rows).toEqual([{ dimension: 768 }])
    // Those that name a column of vectors were made anew.
    const triggers = `select tgrelid::regclass::text as table, tgenabled, pg_get_triggerdef(oid) as definition from pg_trigger where not tgisinternal order by 1, 3`
    expect((await other.database.pool.query(triggers)).rows).toEqual(await query(triggers))
    await expect(other.database.migrate(undefined, { dimension: 384 })).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/EMBEDDING_DIMENSION is 384.*768/),
    })
    await expect(other.database.migrate(undefined, { dimension: 768 })).resolves.toEqual([])
    await expect(other.database.migrate()).resolves.toEqual([])
  })

  test('are described with that dimension', () => {
    const { schema, byName } = loadCatalog(undefined, { embeddingDimension: 768 })
    expect(schema['memories']?.columns['embedding']).toMatchObject({ dimension: 768 })
    expect(byName.get('memories')?.sqlColumns.find(({ name }) => name === 'embedding')?.sqlType).toBe('vector(768)')
  })
})
