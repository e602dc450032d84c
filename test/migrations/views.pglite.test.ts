import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { applyRetention } from '../../server/maintenance/maintenance.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, type SqlRow, type World } from './rows.ts'

const day = 24 * 3600 * 1000

let db: TestDatabase
let world: World
let other: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database.pool)
  other = await createWorld(db.database.pool)
})
afterAll(() => db.close())

const query = async (text: string, values: readonly unknown[] = []): Promise<SqlRow[]> =>
  (await db.database.pool.query(text, [...values])).rows
const add = (table: string, values: SqlRow) =>
  insert(db.database.pool, table, { organization_id: world.organization, ...values })
const refresh = (names?: readonly string[]) => query('select * from sync.refresh_analytics($1)', [names ?? null])
/** As a reader of one organization sees it. */
const readAs = async (organization: string | null, text: string): Promise<SqlRow[]> => {
  const client = await db.database.pool.connect()
  try {
    await client.query('begin')
    await client.query(`select set_config('app.organization_id', $1, true)`, [organization ?? ''])
    return (await client.query(text)).rows
  } finally {
    await client.query('rollback')
    client.release()
  }
}

describe('plain views', () => {
  test('tell cancelled from archived projects', async () => {
    const closure = (kind: string, more: SqlRow = {}) =>
      add('project_closures', { project_id: world.project, kind, project_name: kind, ...more })
    await closure('cancelled', { reason: 'no budget' })
    await closure('archived', { completed_at: new Date() })
    expect(await query('select project_name, reason from cancelled_projects')).toEqual([
      { project_name: 'cancelled', reason: 'no budget' },
    ])
    expect(await query('select project_name from archived_projects')).toEqual([{ project_name: 'archived' }])
  })

  test('name integrations by provider, and micro steps', async () => {
    await add('integrations', { provider: 'linear', name: 'L', external_team_id: 'team' })
    await add('integrations', { provider: 'slack', name: 'S', external_workspace_id: 'w' })
    await add('integrations', { provider: 'github', name: 'G', repository_owner: 'o', repository_name: 'r' })
    for (const provider of ['linear', 'slack', 'github'])
      expect(await query(`select name from ${provider}_integrations`)).toEqual([{ name: provider[0]?.toUpperCase() }])
    await add('tasks', { project_id: world.project, title: 'Small', kind: 'micro_step' })
    await add('tasks', { project_id: world.project, title: 'Gone', kind: 'micro_step', deleted_at: new Date() })
    expect(await query('select title from micro_steps')).toEqual([{ title: 'Small' }])
  })

  test('show of a credential whether it is good, and nothing of its secret', async () => {
    const secret = Buffer.alloc(40, 1)
    const credential = (label: string, more: SqlRow = {}) =>
      add('credentials', {
        provider: 'openrouter',
        kind: 'api_key',
        label,
        key_id: 'k1',
        fingerprint: secret,
        secret_ciphertext: secret,
        ...more,
      })
    await credential('good')
    await credential('old', { expires_at: new Date(Date.now() - day) })
    await credential('ended', { revoked_at: new Date() })
    expect(await query('select label from credential_summaries')).toEqual([])
    expect(await readAs(world.organization, 'select label, status from credential_summaries order by label')).toEqual([
      { label: 'ended', status: 'revoked' },
      { label: 'good', status: 'active' },
      { label: 'old', status: 'expired' },
    ])
    const [row] = await readAs(world.organization, 'select * from credential_summaries limit 1')
    expect(Object.values(row ?? {}).filter((value) => value instanceof Buffer)).toEqual([])
  })

  test('say of a row that a conflict is open on it, until it is settled', async () => {
    const task = await add('tasks', { project_id: world.project, title: 'Contested' })
    const status = () =>
      query(`select sync_status from v_row_sync_status where table_name = 'tasks' and row_id = $1`, [task.id])
    expect(await status()).toEqual([{ sync_status: 'synced' }])
    const device = await add('devices', {
      agent_id: world.agent,
      fingerprint: 'fingerprint',
      name: 'box',
      kind: 'server',
      sync_status: 'syncing',
      pending_mutations: 2,
    })
    const { id } = await add('sync_conflicts', {
      channel: `project/${world.project}`,
      device_id: device.id,
      agent_id: world.agent,
      mutation_id: task.id,
      table_name: 'tasks',
      row_id: task.id,
      kind: 'field',
    })
    expect(await status()).toEqual([{ sync_status: 'conflict' }])
    const ofAgent = () =>
      query(
        'select sync_status, devices, pending_mutations, open_conflicts from v_agent_sync_status where agent_id = $1',
        [world.agent],
      )
    expect(await ofAgent()).toEqual([{ sync_status: 'conflict', devices: 1, pending_mutations: 2, open_conflicts: 1 }])
    await query(`update sync_conflicts set status = 'resolved', resolved_at = now() where id = $1`, [id])
    expect(await status()).toEqual([{ sync_status: 'synced' }])
    expect(await ofAgent()).toEqual([{ sync_status: 'syncing', devices: 1, pending_mutations: 2, open_conflicts: 0 }])
  })

  test('report automation and errors against their targets, per organization', async () => {
    const run = (status: string, automated: boolean) =>
      add('task_runs', { project_id: world.project, status, automated, finished_at: new Date() })
    for (let n = 0; n < 19; n++) await run('completed', true)
    await run('completed', false)
    for (const recoverable of [true, false])
      await add('error_logs', { code: 500, category: 'test', message: 'm', is_recoverable: recoverable })
    const metrics = await query(
      'select metric, value, target, met from v_success_metrics where organization_id = $1 order by metric',
      [world.organization],
    )
    expect(metrics).toEqual([
      { metric: 'automation_level', value: 0.95, target: 0.95, met: true },
      { metric: 'unrecoverable_errors', value: 0.05, target: 0.01, met: false },
    ])
    expect(
      await query('select distinct value, met from v_success_metrics where organization_id = $1', [other.organization]),
    ).toEqual([{ value: null, met: null }])
  })

  test('report availability from the signs of life of servers', async () => {
    const availability = async (): Promise<unknown> =>
      (await query(`select value, met from v_success_metrics where metric = 'availability'`))[0]
    expect(await availability()).toEqual({ value: null, met: null })
    // Ten hours, a sign each minute, by two servers in turn; then a minute of silence too many.
    await query(`
      insert into system_metrics (metric_name, value, labels, occurred_at)
      select 'server.up', 1, jsonb_build_object('node', n % 2), now() - make_interval(mins => n) from generate_series(0, 600) n`)
    expect(await availability()).toEqual({ value: 1, met: true })
    await query(
      `delete from system_metrics where occurred_at < now() - interval '5 hours' and occurred_at > now() - interval '5 hours 6 minutes'`,
    )
    const silence = (await availability()) as { value: number; met: boolean }
    expect(silence.met).toBe(false)
    expect(silence.value).toBeCloseTo(1 - 6 / 600, 3)
    await query(`update system_metrics set value = 0 where metric_name = 'server.up'`)
    expect(await availability()).toEqual({ value: null, met: null })
  })
})

describe('analytics', () => {
  test('hold what the tables say, once they are refreshed', async () => {
    const { project, agent } = world
    const task = await add('tasks', { project_id: project, title: 'Done', status: 'completed' })
    await add('task_runs', { project_id: project, task_id: task.id, agent_id: agent, status: 'failed', attempt: 2 })
    await add('token_usages', {
      project_id: project,
      agent_id: agent,
      provider: 'openai',
      model: 'gpt-4',
      input_tokens: 1_000_000,
      output_tokens: 0,
    })
    await add('patterns', { name: 'P', kind: 'workflow', occurrence_count: 3, success_count: 3, failure_count: 1 })
    const pipeline = await add('pipelines', { project_id: project, name: 'CI' })
    for (const number of [1, 2])
      await add('pipeline_executions', {
        project_id: project,
        pipeline_id: pipeline.id,
        run_number: number,
        definition_revision: 1,
        status: number === 1 ? 'completed' : 'failed',
        gate_status: number === 1 ? 'passed' : 'failed',
        trigger_kind: 'manual',
      })
    const rows = await refresh()
    expect(rows.map(({ name }) => name)).toHaveLength(7)
    const read = (text: string) => readAs(world.organization, text)
    expect(await read('select completed::int, cost_usd::float8, members::int from project_overview')).toEqual([
      { completed: 1, cost_usd: 30, members: 0 },
    ])
    expect(await read('select completed::int, retried::int from task_throughput_daily')).toEqual([
      { completed: 1, retried: 1 },
    ])
    expect(await read('select failed::int, tokens::int, cost_usd::float8 from agent_performance_daily')).toEqual([
      { failed: 1, tokens: 1_000_000, cost_usd: 30 },
    ])
    expect(
      await read('select runs::int, success_rate, gate_failures::int as gates from pipeline_health_daily'),
    ).toEqual([{ runs: 2, success_rate: 0.5, gates: 1 }])
    expect(await read('select occurrences::int, success_rate from learning_trends_weekly')).toEqual([
      { occurrences: 3, success_rate: 0.75 },
    ])
    expect(await read('select count::int, unrecoverable_count::int as lost from error_trends_daily')).toEqual([
      { count: 2, lost: 1 },
    ])
  })

  test('are shown to their organization alone, and to nobody without one', async () => {
    await refresh(['mv_project_overview'])
    const seen = (organization: string | null) => readAs(organization, 'select organization_id from project_overview')
    expect(await seen(other.organization)).toEqual([{ organization_id: other.organization }])
    expect(await seen(null)).toEqual([])
  })

  test('of costs keep their history when the detail goes', async () => {
    await add('token_usages', {
      project_id: world.project,
      provider: 'openai',
      model: 'gpt-4',
      input_tokens: 500_000,
      output_tokens: 1,
      occurred_at: new Date(Date.now() - 400 * day),
    })
    // Brings the policies.
    await db.database.migrate()
    const history = () =>
      readAs(world.organization, 'select day, requests::int, cost_usd::float8 from cost_daily order by day')
    await refresh(['mv_cost_daily'])
    const before = await history()
    expect(before).toHaveLength(2)
    const report = await applyRetention({
      pool: db.database.pool,
      catalog: loadCatalog(),
      archiveDir: '/nonexistent',
    })
    expect(report.tables).toMatchObject({ token_usages: 1 })
    await refresh(['mv_cost_daily'])
    expect(await history()).toEqual(before)
  })

  test('that nobody made are named', async () => {
    await expect(refresh(['mv_cost_daily', 'mv_cost_hourly'])).rejects.toThrow('No materialized view mv_cost_hourly')
  })
})
