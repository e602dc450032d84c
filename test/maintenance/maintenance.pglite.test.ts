import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { AgentDNA } from '../../protocol/agents/agent-dna.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { seedDemo } from '../../server/demo/demo.ts'
import { startMaintenance } from '../../server/maintenance/maintenance.ts'
import { createSweepRound, sweepWork } from '../../server/maintenance/sweep.ts'
import { prune, pruneLog } from '../../server/maintenance/prune.ts'
import { vacuumStale } from '../../server/maintenance/vacuum.ts'
import { silentLog, Troubles } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId, seedFixture } from '../support/fixtures.ts'
import { insert } from '../migrations/rows.ts'

let home: TestDatabase

beforeAll(async () => {
  home = await createTestDatabase()
  await home.database.pool.query('select sync.ensure_epoch()')
})
afterAll(async () => home.close())

async function log(): Promise<{ readonly count: number; readonly oldest: number | null; readonly pruned: number }> {
  const { rows } = await home.database.pool.query<{ count: number; oldest: number | null; pruned: number }>(
    'select (select count(*)::integer from sync_changes) as count, (select min(seq)::integer from sync_changes) as oldest, (select pruned_through_seq::integer from sync_heads) as pruned',
  )
  const [row] = rows
  if (!row) throw new Error('No row.')
  return row
}

describe('pruning the change log', () => {
  test('keeps what is young and few enough', async () => {
    await seedFixture(home.database.pool)
    const before = await log()
    expect(before.count).toBeGreaterThan(0)
    // The database is a copy of one that may have been made long ago.
    expect(await pruneLog(home.database.pool, { keepMs: 10 * 365 * 24 * 3_600_000, keepRows: 1000 })).toBe(0)
    expect(await log()).toEqual(before)
  })

  test('takes whole commits, and raises the horizon to the last of them', async () => {
    const { pool } = home.database
    await pool.query(
      'begin; insert into agent_types (organization_id, key, name) select id, $$first$$, $$x$$ from organizations; insert into agent_types (organization_id, key, name) select id, $$second$$, $$x$$ from organizations; commit',
    )
    await seedFixture(pool)
    const before = await log()
    const gone = await pruneLog(pool, { keepMs: 3_600_000, keepRows: 3 })
    const after = await log()
    expect(gone).toBe(before.count - after.count)
    expect(after.count).toBeLessThanOrEqual(3)
    expect(after.pruned).toBeGreaterThan(before.pruned)
    expect(after.oldest).toBeGreaterThan(after.pruned)
  })

  test('takes canaries of yesterday, and raises no horizon for them', async () => {
    const { pool } = home.database
    const mark = async (): Promise<unknown> => pool.query('select sync.mark_canary()')
    await mark()
    await pool.query(`update sync_changes set occurred_at = now() - interval '2 days' where channel = 'canary'`)
    await mark()
    const before = await log()
    await prune({ pool, clock: systemClock })
    expect(await log()).toEqual({ ...before, count: before.count - 1, oldest: expect.any(Number) })
  })

  test('takes what is too old', async () => {
    const { pool } = home.database
    await pool.query(`update sync_changes set occurred_at = now() - interval '2 days'`)
    await seedFixture(pool)
    const { rows } = await pool.query<{ seq: number }>(
      `select max(seq)::integer as seq from sync_changes where occurred_at < now() - interval '1 day'`,
    )
    await pruneLog(pool, { keepMs: 86_400_000, keepRows: 1_000_000 })
    expect((await log()).pruned).toBe(rows[0]?.seq)
    expect((await log()).count).toBeGreaterThan(0)
  })
})

/** Resolves when the upkeep of a server that starts has committed its canary. */
async function startedCanary(): Promise<void> {
  const seen = Promise.withResolvers<void>()
  const maintenance = startMaintenance({
    catalog: loadCatalog(),
    archiveDir: '/nonexistent',
    troubles: new Troubles(systemClock, silentLog),
    database: home.database,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    onCanary: () => seen.resolve(),
  })
  await seen.promise
  await maintenance.stop()
}

test('the canary is committed at once, through the log', async () => {
  await startedCanary()
  const { rowCount } = await home.database.pool.query(`select 1 from sync_changes where channel = 'canary'`)
  expect(rowCount).toBe(1)
})

test('a canary that is dated ahead, from before the clock was set back, delays no other one', async () => {
  const { pool } = home.database
  await pool.query('select sync.mark_canary()')
  await pool.query(`update sync_changes set occurred_at = now() + interval '1 hour' where channel = 'canary'`)
  await startedCanary()
  const { rowCount } = await pool.query(`select 1 from sync_changes where channel = 'canary' and occurred_at <= now()`)
  expect(rowCount).toBe(1)
})

test('tables with many dead rows are vacuumed, and then no longer stale', async () => {
  const { pool } = home.database
  await pool.query('create table churn (id integer primary key, n integer)')
  await pool.query('insert into churn select i, 0 from generate_series(1, 3000) i')
  for (let round = 0; round < 3; round++) await pool.query('update churn set n = n + 1')
  expect(await vacuumStale(pool)).toContain('public.churn')
  expect(await vacuumStale(pool)).not.toContain('public.churn')
})

test('demo data is made once, and what was changed in it stays', async () => {
  const { pool } = home.database
  const deps = { clock: systemClock, random: systemRandom, dimension: 384 }
  const first = await seedDemo(pool, deps)
  await pool.query(`update tasks set title = 'Changed' where project_id = $1 and position = 0`, [first.projectId])
  const second = await seedDemo(pool, deps)
  expect(second).toEqual({ ...first, created: false })
  const { rows } = await pool.query<{ count: number; changed: number }>(
    `select count(*)::integer as count, count(*) filter (where title = 'Changed')::integer as changed from tasks where project_id = $1`,
    [first.projectId],
  )
  expect(rows).toEqual([{ count: 12, changed: 1 }])
})

test('the lively demo has something of everything, once, and agents whose DNA is one', async () => {
  const { pool } = home.database
  const deps = { clock: systemClock, random: systemRandom, dimension: 384, extent: 'neighbours' } as const
  expect(await seedDemo(pool, { ...deps, extent: 'lively' })).toMatchObject({ created: true })
  expect(await seedDemo(pool, { ...deps, extent: 'lively' })).toMatchObject({ created: false })
  expect(await seedDemo(pool, deps)).toMatchObject({ created: true })
  expect(await seedDemo(pool, deps)).toMatchObject({ created: false })
  const count = async (table: string, where = 'true') =>
    (await pool.query<{ n: number }>(`select count(*)::int as n from ${table} where ${where}`)).rows[0]?.n
  for (const table of [
    'teams',
    'plans',
    'phases',
    'macro_steps',
    'task_dependencies',
    'messages',
    'memory_tags',
    'documents',
    'cost_estimates',
    'pipeline_step_executions',
    'quality_gate_results',
  ])
    expect.soft(await count(table), table).toBeGreaterThan(0)
  expect(await count('organizations', `slug in ('demo', 'harbor')`)).toBe(2)
  expect(await count('memories', 'embedding is not null')).toBeGreaterThan(5)
  expect(await count('sync_conflicts', `status = 'open'`)).toBe(1)
  const days = `select count(distinct occurred_at::date)::int as days, bool_and(cost_usd > 0) as priced from token_usages`
  expect((await pool.query(days)).rows).toEqual([{ days: expect.toSatisfy((n: number) => n >= 9), priced: true }])
  const roles = `select distinct role from organization_members order by 1`
  expect((await pool.query(roles)).rows.map(({ role }) => role)).toEqual(['admin', 'member', 'owner', 'viewer'])
  const { rows } = await pool.query<{ dna: unknown }>(
    `select a.dna from agents a join organizations o on o.id = a.organization_id where o.slug = 'demo' and a.name in ('scout', 'pilot', 'critic')`,
  )
  expect(rows.map(({ dna }) => AgentDNA.parse(dna).runtime.concurrency)).toEqual([2, 2, 2])
})

test('a row that cannot be swept is named once, and the work of every other organization is taken back', async () => {
  const { pool } = home.database
  const expired = async (title: string) => {
    const { organizationId, projectId } = await seedFixture(pool)
    const at = { organization_id: organizationId, project_id: projectId }
    const { id } = await insert(pool, 'tasks', { ...at, title, status: 'in_progress', lease_expires_at: '2026-01-01' })
    const pipeline = await insert(pool, 'pipelines', { ...at, name: newId(), timeout_seconds: 1 })
    const execution = await insert(pool, 'pipeline_executions', {
      ...at,
      pipeline_id: pipeline.id,
      run_number: 1,
      definition_revision: 1,
      trigger_kind: title === 'poison' ? 'schedule' : 'api',
      queued_at: '2026-01-01',
    })
    return { task: id, execution: execution.id }
  }
  await pool.query(
    `create function refuse_poison() returns trigger language plpgsql as $$ begin raise exception 'poison'; end $$`,
  )
  await pool.query(
    `create trigger refuse_poison before update on tasks for each row when (old.title = 'poison') execute function refuse_poison()`,
  )
  await pool.query(`create trigger refuse_poison before update on pipeline_executions for each row
    when (old.trigger_kind = 'schedule') execute function refuse_poison()`)
  const [poison, healthy] = [await expired('poison'), await expired('healthy')]
  const lines: unknown[] = []
  const round = createSweepRound({
    pool,
    clock: systemClock,
    log: { info: () => undefined, error: (message, details) => lines.push([message, details]) },
  })
  await round()
  await round()
  expect(lines).toEqual([
    ['Work could not be taken back', { table: 'tasks', id: poison.task, sqlstate: 'P0001' }],
    ['Work could not be taken back', { table: 'pipeline_executions', id: poison.execution, sqlstate: 'P0001' }],
  ])
  const statuses = async (of: typeof poison) =>
    (
      await pool.query<{ status: string }>(
        'select status from tasks where id = $1 union all select status from pipeline_executions where id = $2',
        [of.task, of.execution],
      )
    ).rows.map(({ status }) => status)
  expect(await statuses(poison)).toEqual(['in_progress', 'pending'])
  expect(await statuses(healthy)).toEqual(['pending', 'timed_out'])
  await pool.query('drop function refuse_poison() cascade')
  expect(await sweepWork({ pool, clock: systemClock })).toMatchObject({ stuck: [] })
  expect(await statuses(poison)).toEqual(['pending', 'timed_out'])
})
