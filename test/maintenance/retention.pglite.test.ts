import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemRandom } from '../../lib/random.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { applyRetention, startMaintenance } from '../../server/maintenance/maintenance.ts'
import type { RetentionReport } from '../../server/maintenance/retention/retention.ts'
import { silentLog, Troubles } from '../../server/telemetry/telemetry.ts'
import { insert, createWorld, type SqlRow, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { ManualClock } from '../support/manual-clock.ts'

const day = 24 * 3600 * 1000
const catalog = loadCatalog()

let db: TestDatabase
let world: World
let archiveDir: string
beforeAll(async () => {
  db = await createTestDatabase()
  // Brings the shipped policies.
  await db.database.migrate()
  archiveDir = await mkdtemp(join(tmpdir(), 'tidewire-archive-'))
})
afterAll(async () => {
  await rm(archiveDir, { recursive: true, force: true })
  await db.close()
})
beforeEach(async () => {
  world = await createWorld(db.database.pool)
})

const query = async (text: string, values: readonly unknown[] = []): Promise<SqlRow[]> =>
  (await db.database.pool.query(text, [...values])).rows
const add = (table: string, values: SqlRow) =>
  insert(db.database.pool, table, { organization_id: world.organization, ...values })
const ago = (days: number): Date => new Date(Date.now() - days * day)
const retain = (more: Partial<Parameters<typeof applyRetention>[0]> = {}): Promise<RetentionReport> =>
  applyRetention({ pool: db.database.pool, catalog, archiveDir, ...more })
const left = async (table: string): Promise<number> =>
  Number(
    (await query(`select count(*)::int as n from ${table} where organization_id = $1`, [world.organization]))[0]?.['n'],
  )

const metric = (at: Date, value = 1) => add('system_metrics', { metric_name: 'db.pool.used', value, occurred_at: at })
const failure = (days: number, more: SqlRow = {}) =>
  add('error_logs', { code: 500, category: 'test', message: 'm', occurred_at: ago(days), ...more })

describe('each policy', () => {
  test('takes what is older, and leaves the rest', async () => {
    for (const days of [1, 89, 91, 200])
      await add('agent_events', { agent_id: world.agent, event_type: 'test.x', occurred_at: ago(days) })
    expect((await retain()).tables).toMatchObject({ agent_events: 2 })
    expect(await left('agent_events')).toBe(2)
  })

  test('of what expires takes what has expired, on replicas too, and leaves what never does', async () => {
    const entry = (expires: Date | null) =>
      add('knowledge_entries', { scope: 'organization', entry_type: 'lesson', title: 'T', expires_at: expires })
    const gone = await entry(ago(1))
    const [later, never] = [await entry(ago(-1)), await entry(null)]
    expect((await retain()).tables).toMatchObject({ knowledge_entries: 1 })
    const ids = await query('select id from knowledge_entries where organization_id = $1 order by id', [
      world.organization,
    ])
    expect(ids.map(({ id }) => id)).toEqual([later.id, never.id].toSorted())
    expect(await query('select op from sync_changes where row_id = $1 order by seq desc limit 1', [gone.id])).toEqual([
      { op: 'delete' },
    ])
  })

  test('only counts in a dry run, and counts the same', async () => {
    for (const days of [91, 92, 93]) await failure(days)
    const dry = await retain({ dryRun: true })
    expect(dry).toMatchObject({ status: 'completed', dryRun: true, tables: { error_logs: 3 } })
    expect(await left('error_logs')).toBe(3)
    expect((await retain()).tables).toEqual(dry.tables)
  })

  test('that an organization has of its own goes before the shipped one', async () => {
    const own = (name: string, more: SqlRow) =>
      add('retention_policies', {
        name,
        table_name: 'error_logs',
        time_column: 'occurred_at',
        action: 'delete',
        keep_for: '10 days',
        ...more,
      })
    await own('error_log', {})
    await failure(11)
    const other = await createWorld(db.database.pool)
    await failure(11, { organization_id: other.organization })
    await retain()
    expect(await left('error_logs')).toBe(0)
    expect(
      await query('select count(*)::int as n from error_logs where organization_id = $1', [other.organization]),
    ).toEqual([{ n: 1 }])
  })

  test.each([
    ['a legal hold', { legal_hold: true }],
    ['being switched off', { is_enabled: false }],
  ])('stops at %s', async (_, stop) => {
    await add('retention_policies', {
      name: 'error_log',
      table_name: 'error_logs',
      time_column: 'occurred_at',
      action: 'delete',
      keep_for: '1 day',
      ...stop,
    })
    await failure(100)
    await retain()
    expect(await left('error_logs')).toBe(1)
  })

  test('is set for integration events and metrics by a number of days', async () => {
    for (const days of [29, 31, 91]) {
      await metric(ago(days))
      await failure(days)
      await add('integration_events', { provider: 'github', event_type: 'push', occurred_at: ago(days) })
    }
    expect(await retain({ retentionDays: 30 })).toMatchObject({
      status: 'completed',
      retentionDays: 30,
      timestamp: expect.any(String),
      tables: { system_metrics: 2, integration_events: 2, error_logs: 1 },
    })
  })
})

describe('months', () => {
  const months = async (table: string): Promise<readonly string[]> =>
    (
      await query(
        `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = $1::regclass and c.relname !~ '_default$' order by 1`,
        [table],
      )
    ).map((row) => String(row['name']))

  test('go as tables when they are over for everybody, and stay while an organization keeps a row there', async () => {
    for (const days of [800, 400, 200, 1]) {
      await add('tool_audit_logs', { tool_name: 't', operation: 'use', allowed: true, occurred_at: ago(days) })
      await failure(days)
    }
    await add('retention_policies', {
      name: 'error_log',
      table_name: 'error_logs',
      time_column: 'occurred_at',
      action: 'delete',
      keep_for: '500 days',
    })
    await query('select sync.ensure_partitions(1)')
    const before = [await months('tool_audit_logs'), await months('error_logs')]
    const dry = await retain({ dryRun: true })
    expect(dry.tables).toMatchObject({ tool_audit_logs: 2, error_logs: 1 })
    const report = await retain()
    expect(report.tables).toEqual(dry.tables)
    expect([await left('tool_audit_logs'), await left('error_logs')]).toEqual([2, 3])
    expect(before[0]?.length).toBe((await months('tool_audit_logs')).length + 2)
    // The month of 400 days ago has a row that the organization keeps.
    expect(report.months).toEqual({ error_logs: 1 })
    expect(before[1]?.length).toBe((await months('error_logs')).length + 1)
  })
})

describe('what is summed up', () => {
  test('counts every row that is gone, in however many runs', async () => {
    await query('update retention_policies set batch_size = 2 where name = $1 and organization_id is null', [
      'error_log',
    ])
    for (let n = 0; n < 5; n++) await failure(100, { is_recoverable: n > 1 })
    const stop = new AbortController()
    await retain({ signal: stop.signal, onProgress: () => stop.abort() })
    expect(await left('error_logs')).toBe(3)
    const lastRun = `select status, rows_affected::int as rows, error_message as error from maintenance_runs
      where kind = 'retention' order by started_at desc limit 1`
    // Not as done: another server would leave the rest to the next night.
    expect(await query(lastRun)).toEqual([{ status: 'failed', rows: 2, error: 'It was stopped before all was done.' }])
    await failure(100)
    await retain()
    expect(
      await query(
        'select sum(count)::int as n, sum(unrecoverable_count)::int as u from error_log_summaries where organization_id = $1',
        [world.organization],
      ),
    ).toEqual([{ n: 6, u: 2 }])
  })

  test('goes itself after a year', async () => {
    for (const days of [360, 370, 800])
      await add('error_log_summaries', { summary_date: ago(days), category: 'test', code: 500, count: 3 })
    expect((await retain()).tables).toMatchObject({ error_log_summaries: 2 })
    expect(await left('error_log_summaries')).toBe(1)
  })

  test('keeps the cost of each day as it was', async () => {
    const use = (days: number, cost: number) =>
      add('token_usages', {
        model: 'gpt-4',
        provider: 'openai',
        input_tokens: 1_000_000 * cost,
        output_tokens: 0,
        occurred_at: ago(days),
        project_id: world.project,
      })
    const daily = `
      select day, sum(cost)::float8 as cost from (
        select (occurred_at at time zone 'UTC')::date as day, cost_usd as cost from token_usages where organization_id = $1
        union all select usage_date, cost_usd from token_usage_daily where organization_id = $1
      ) history group by day order by day`
    await query(
      `insert into model_prices (provider, model, input_cost_per_million, output_cost_per_million, effective_from) values ('openai', 'gpt-4', 30, 60, '2020-01-01') on conflict do nothing`,
    )
    for (const [days, cost] of [
      [366, 1],
      [366, 2],
      [400, 3],
      [10, 4],
    ] as const)
      await use(days, cost)
    const before = await query(daily, [world.organization])
    await retain()
    expect(await left('token_usages')).toBe(1)
    expect(await query(daily, [world.organization])).toEqual(before)
    expect(before.map((row) => row['cost'])).toEqual([90, 90, 120])
  })

  test('has the true percentile of each hour and day', async () => {
    const at = ago(100)
    for (let value = 1; value <= 100; value++) await metric(at, value)
    await retain()
    const rollups = await query(
      'select bucket, sample_count::int as n, min, max, avg, p95 from system_metric_rollups where organization_id = $1 order by bucket',
      [world.organization],
    )
    const same = { n: 100, min: 1, max: 100, avg: 50.5, p95: 95.05 }
    expect(rollups).toEqual([
      { bucket: 'day', ...same },
      { bucket: 'hour', ...same },
    ])
  })
})

test('what is archived is in a file before it is gone', async () => {
  const { id } = await add('memory_logs', {
    memory_id: world.agent,
    action: 'created',
    scope: 'agent',
    occurred_at: ago(731),
  })
  await retain()
  const folder = join(archiveDir, 'memory_logs')
  const lines = await Promise.all(
    (await readdir(folder)).map(async (name) => gunzipSync(await readFile(join(folder, name))).toString()),
  )
  expect(lines.join('')).toContain(id)
  expect(await left('memory_logs')).toBe(0)
})

describe('deleted rows', () => {
  const remove = (table: string, id: string, days: number) =>
    query(`update ${table} set deleted_at = $2 where id = $1`, [id, ago(days)])
  const exists = async (table: string, id: string): Promise<boolean> =>
    (await query(`select from ${table} where id = $1`, [id])).length === 1

  test('are purged with what hangs on them, in one run', async () => {
    const parent = await add('tasks', { project_id: world.project, title: 'parent' })
    const child = await add('tasks', { project_id: world.project, title: 'child', parent_task_id: parent.id })
    for (const { id } of [child, parent]) await remove('tasks', id, 31)
    const conversation = await add('conversations', { scope: 'project', project_id: world.project })
    const message = await add('messages', { conversation_id: conversation.id, role: 'user', content: 'x' })
    await remove('messages', message.id, 31)
    await remove('conversations', conversation.id, 31)
    await retain()
    expect([
      await exists('tasks', child.id),
      await exists('conversations', conversation.id),
      await exists('messages', message.id),
    ]).toEqual([false, false, false])
    await retain()
    expect(await exists('tasks', parent.id)).toBe(false)
  })

  test('stay while something living hangs on them, or something that may still come back', async () => {
    const parent = await add('tasks', { project_id: world.project, title: 'parent' })
    const child = await add('tasks', { project_id: world.project, title: 'child', parent_task_id: parent.id })
    await remove('tasks', parent.id, 100)
    await retain()
    expect(await exists('tasks', parent.id)).toBe(true)
    await remove('tasks', child.id, 29)
    await retain()
    expect([await exists('tasks', parent.id), await exists('tasks', child.id)]).toEqual([true, true])
  })

  test('stay while a policy keeps what would go with them, at any depth', async () => {
    const prompt = (semver: string) => add('prompts', { agent_type: 'generic', name: 'kept', semver, prompt_text: 'x' })
    const [tested, untested] = [await prompt('1.0.0'), await prompt('1.1.0')]
    await add('prompt_test_results', { prompt_id: tested.id, test_name: 't', passed: true })
    const plan = await add('plans', { project_id: world.project, title: 'P' })
    const estimate = await add('cost_estimates', { project_id: world.project, plan_id: plan.id, cost_expected: 1 })
    for (const [table, { id }] of [
      ['prompts', tested],
      ['prompts', untested],
      ['plans', plan],
      ['cost_estimates', estimate],
    ] as const)
      await remove(table, id, 31)
    const hold = await add('retention_policies', {
      name: 'estimates',
      table_name: 'cost_estimates',
      time_column: 'created_at',
      action: 'delete',
      keep_for: '1 day',
      legal_hold: true,
    })
    const there = async () =>
      Promise.all([exists('prompts', tested.id), exists('prompts', untested.id), exists('plans', plan.id)])
    await retain()
    expect(await there()).toEqual([true, false, true])
    await query('update retention_policies set legal_hold = false where id = $1', [hold.id])
    await retain()
    expect(await there()).toEqual([true, false, false])
    await query('delete from retention_policies where id = $1', [hold.id])
  })

  test('are counted with what goes with them, in a dry run too', async () => {
    const document = await add('documents', { scope: 'organization', title: 'D', content: 'one' })
    await query(`update documents set content = 'two' where id = $1`, [document.id])
    const [{ n } = { n: 0 }] = await query('select count(*)::int as n from document_versions where document_id = $1', [
      document.id,
    ])
    expect(n).toBeGreaterThan(0)
    const parent = await add('tasks', { project_id: world.project, title: 'parent' })
    const child = await add('tasks', { project_id: world.project, title: 'child', parent_task_id: parent.id })
    for (const { id } of [parent, child]) await remove('tasks', id, 31)
    await remove('documents', document.id, 31)
    const dry = await retain({ dryRun: true })
    expect(dry.tables).toMatchObject({ documents: 1, document_versions: n, tasks: 2 })
    expect(await exists('documents', document.id)).toBe(true)
    expect((await retain()).tables).toEqual(dry.tables)
  })

  test('reach replicas as deletes', async () => {
    const task = await add('tasks', { project_id: world.project, title: 'gone' })
    await remove('tasks', task.id, 31)
    await retain()
    expect(await query(`select op from sync_changes where row_id = $1 order by seq desc limit 1`, [task.id])).toEqual([
      { op: 'delete' },
    ])
  })

  test('never are organizations or users', async () => {
    await remove('users', world.user, 100)
    await remove('organizations', world.organization, 100)
    await retain()
    expect(await exists('users', world.user)).toBe(true)
    expect(await exists('organizations', world.organization)).toBe(true)
  })
})

describe('the file of an artifact', () => {
  const artifactDir = (): string => join(archiveDir, 'artifacts')
  const ours = (name: string): string => join(artifactDir(), world.organization, name)
  const write = async (path: string): Promise<string> => {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, 'x')
    return pathToFileURL(path).href
  }
  const run = async (project: string) => {
    const pipeline = await add('pipelines', { project_id: project, name: randomUUID() })
    return add('pipeline_executions', {
      project_id: project,
      pipeline_id: pipeline.id,
      run_number: 1,
      definition_revision: 1,
      trigger_kind: 'push',
    })
  }
  const artifact = (execution: { readonly id: string; readonly project_id?: unknown }, more: SqlRow) =>
    add('pipeline_artifacts', {
      project_id: execution.project_id,
      execution_id: execution.id,
      name: randomUUID(),
      ...more,
    })

  test('goes with its row when it is in the folder of its organization; others are named', async () => {
    const execution = await run(world.project)
    const outside = join(archiveDir, 'outside')
    const others = [
      await write(join(outside, 'outside.log')),
      await write(join(artifactDir(), 'shared.log')),
      await write(join(artifactDir(), randomUUID(), 'of-another-organization.log')),
      's3://bucket/key',
    ]
    const own = await write(ours('own.log'))
    await symlink(outside, ours('link'))
    const linked = pathToFileURL(ours('link/outside.log')).href
    const left = [...others, linked]
    for (const storage_uri of [own, ...left]) await artifact(execution, { storage_uri, expires_at: ago(1) })
    const report = await retain({ artifactDir: artifactDir() })
    expect(report).toMatchObject({ tables: { pipeline_artifacts: 6 }, files: { removed: 1, left: 5 } })
    expect(report.files.places.toSorted()).toEqual(left.toSorted())
    expect(existsSync(ours('own.log'))).toBe(false)
    expect(
      others.filter((place) => place.startsWith('file:')).map((place) => existsSync(fileURLToPath(place))),
    ).toEqual([true, true, true])
  })

  test('stays while another row names its place, and goes with the last one', async () => {
    const execution = await run(world.project)
    const storage_uri = await write(ours('shared.log'))
    const kept = await artifact(execution, { storage_uri })
    await artifact(execution, { storage_uri, expires_at: ago(1) })
    expect(await retain({ artifactDir: artifactDir() })).toMatchObject({ files: { removed: 0, left: 0 } })
    expect(existsSync(ours('shared.log'))).toBe(true)
    await query('update pipeline_artifacts set expires_at = $2 where id = $1', [kept.id, ago(1)])
    expect(await retain({ artifactDir: artifactDir() })).toMatchObject({ files: { removed: 1, left: 0 } })
    expect(existsSync(ours('shared.log'))).toBe(false)
  })

  test('goes when its row went with its project', async () => {
    const project = await add('projects', { name: 'P', slug: `p-${randomUUID()}` })
    const storage_uri = await write(ours('of-project.log'))
    await artifact(await run(project.id), { storage_uri })
    await query('delete from projects where id = $1', [project.id])
    expect(await retain({ artifactDir: artifactDir() })).toMatchObject({ files: { removed: 1, left: 0 } })
    expect(existsSync(ours('of-project.log'))).toBe(false)
  })
})

describe('a run', () => {
  test('goes by the clock of the database, also on a server whose clock is a year ahead', async () => {
    await query('delete from maintenance_runs')
    await failure(91)
    const young = await failure(1)
    const date = new Date()
    const clock = new ManualClock(
      new Date(date.getFullYear() + 1, date.getMonth(), date.getDate(), 1, 59, 59, 999).getTime(),
    )
    const maintenance = startMaintenance({
      ...{ database: db.database, catalog, archiveDir, clock, random: systemRandom, log: silentLog },
      troubles: new Troubles(clock, silentLog),
      onCanary: () => undefined,
    })
    await clock.advance(1)
    await vi.waitFor(
      async () =>
        expect(await query(`select status from maintenance_runs where kind = 'retention'`)).toEqual([
          { status: 'completed' },
        ]),
      { timeout: 60_000 },
    )
    await maintenance.stop()
    expect(await query('select id from error_logs where organization_id = $1', [world.organization])).toEqual([
      { id: young.id },
    ])
  })

  test('that is cut says what it had deleted by then', async () => {
    await query(`update retention_policies set batch_size = 2 where name = 'error_log' and organization_id is null`)
    for (let n = 0; n < 3; n++) await failure(100 + n)
    await query(`
      create function refuse_oldest() returns trigger language plpgsql as $$
      begin if old.message = 'stays' then raise exception 'It stays: %', old; end if; return old; end $$`)
    await query(
      `update error_logs set message = 'stays' where occurred_at = (select max(occurred_at) from error_logs where organization_id = $1)`,
      [world.organization],
    )
    await query('create trigger refuse before delete on error_logs for each row execute function refuse_oldest()')
    const report = await retain()
    expect(report).toMatchObject({
      status: 'failed',
      tables: { error_logs: 2 },
      failures: { error_logs: 'SQLSTATE P0001' },
    })
    await query('drop function refuse_oldest cascade')
    await query('delete from error_logs')
  })

  test('is recorded, and goes on past a table that fails', async () => {
    await query(
      `insert into retention_policies (name, table_name, time_column, action, keep_for) values ('broken', 'teams', 'no_such_column', 'delete', '1 day')`,
    )
    await failure(91)
    const report = await retain({ triggeredBy: 'test' })
    expect(report).toMatchObject({
      status: 'failed',
      tables: { error_logs: 1 },
      failures: { teams: expect.stringContaining('no_such_column') },
    })
    expect(
      await query(
        `select status, rows_affected::int as n, error_message from maintenance_runs where triggered_by = 'test'`,
      ),
    ).toEqual([{ status: 'failed', n: expect.any(Number), error_message: expect.stringContaining('teams: ') }])
    await query(`delete from retention_policies where name = 'broken'`)
  })
})
