// Figures that the server keeps by itself, from what was done and used.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SqlRow } from '../migrations/rows.ts'
import { createActionWorld, newId, type ActionWorld } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld()
  await world.query(
    `insert into model_prices (provider, model, input_cost_per_million, output_cost_per_million, effective_from) values ('test', 'm', 1, 2, '2026-01-01')`,
  )
})
afterAll(() => world.close())

/** The job that comes every minute. */
const refresh = async () => (await world.query('select sync.refresh_agent_stats(), sync.refresh_usage_stats()'))[0]
const use = (values: SqlRow = {}) =>
  world.add('token_usages', {
    provider: 'test',
    model: 'm',
    input_tokens: 1_000_000,
    output_tokens: 500_000,
    occurred_at: '2026-06-01T12:00:00Z',
    ...values,
  })

/** A run of a new task, by the agent of the world. */
async function runOf(status: string, values: SqlRow = {}, ofTask: SqlRow = {}) {
  const task = await world.addTask(ofTask)
  const { agentId, projectId } = world.fixture
  const run = await world.add('task_runs', {
    project_id: projectId,
    task_id: task.id,
    agent_id: agentId,
    status: 'running',
    started_at: '2026-06-01T12:00:00Z',
    ...values,
  })
  await world.query(`update task_runs set status = $2, finished_at = '2026-06-01T12:00:02Z' where id = $1`, [
    run.id,
    status,
  ])
  return run
}

test('statistics of an agent come from its runs, however they were written', async () => {
  for (const status of ['completed', 'completed', 'failed', 'cancelled']) await runOf(status)
  // One that was made offline, and arrives when it is over.
  await world.add('task_runs', { agent_id: world.fixture.agentId, status: 'completed' })
  expect(await refresh()).toMatchObject({ refresh_agent_stats: 1 })
  expect(await world.read('agents', world.fixture.agentId)).toMatchObject({
    success_rate: '0.7500',
    total_tasks_completed: 3,
    average_response_time_ms: '2000.000',
  })
  expect(await refresh()).toMatchObject({ refresh_agent_stats: 0 })
})

describe('what an agent used', () => {
  const usageOf = async (id = world.fixture.agentId) => (await world.read('agents', id))['usage_stats']
  const one = { calls: 1, unpricedCalls: 0, inputTokens: 1_000_000, outputTokens: 500_000, costUsd: 2 }

  test('is summed up in total and by day, with what arrives late', async () => {
    await use({ agent_id: world.fixture.agentId })
    await refresh()
    expect(await usageOf()).toEqual({ ...one, days: { '2026-06-01': one } })
    await use({ agent_id: world.fixture.agentId, occurred_at: '2026-05-31T23:59:59Z' })
    await use()
    await refresh()
    expect(await usageOf()).toMatchObject({ calls: 2, costUsd: 4, days: { '2026-05-31': one, '2026-06-01': one } })
    expect(await refresh()).toMatchObject({ refresh_usage_stats: 0 })
  })

  test('is what it was when retention takes the detail, and more when a price comes', async () => {
    const agent = await world.add('agents', { name: 'late', agent_type: 'generic', usage_stats: { own: 'words' } })
    await use({ agent_id: agent.id, model: 'unknown' })
    await refresh()
    expect(await usageOf(agent.id)).toMatchObject({ own: 'words', calls: 1, unpricedCalls: 1, costUsd: 0 })
    await world.query(
      `insert into model_prices (provider, model, input_cost_per_million, output_cost_per_million, effective_from) values ('test', 'unknown', 10, 0.5, '2026-01-01')`,
    )
    await refresh()
    expect(await usageOf(agent.id)).toMatchObject({ calls: 1, unpricedCalls: 0, costUsd: 10.25 })
    await world.query('delete from token_usages where agent_id = $1', [agent.id])
    await refresh()
    expect(await usageOf(agent.id)).toMatchObject({ calls: 1, costUsd: 10.25 })
  })

  test('is told by day for the seven newest days', async () => {
    const agent = await world.add('agents', { name: 'busy', agent_type: 'generic' })
    for (let day = 1; day <= 9; day++) await use({ agent_id: agent.id, occurred_at: `2026-06-0${day}T12:00:00Z` })
    await refresh()
    const { calls, days } = (await usageOf(agent.id)) as { readonly calls: number; readonly days: object }
    expect([calls, Object.keys(days).toSorted()]).toEqual([9, [3, 4, 5, 6, 7, 8, 9].map((day) => `2026-06-0${day}`)])
  })

  test('of one run is what the run has cost', async () => {
    const run = await runOf('completed')
    for (let n = 0; n < 2; n++) await use({ task_run_id: run.id })
    await use({ task_run_id: run.id, model: 'never priced' })
    await refresh()
    expect(await world.read('task_runs', run.id)).toMatchObject({ actual_cost: '4.00000000' })
  })
})

test('a session is as good as its runs, and has no rate before one has ended', async () => {
  const session = await world.add('agent_sessions', { agent_id: world.fixture.agentId })
  const rate = async () => (await world.read('agent_sessions', session.id))['success_rate']
  await runOf('cancelled', { session_id: session.id })
  await refresh()
  expect(await rate()).toBeNull()
  for (const status of ['completed', 'timed_out']) await runOf(status, { session_id: session.id })
  const moved = await runOf('completed', { session_id: session.id })
  await refresh()
  expect(await rate()).toBe('0.6667')
  await world.query('update task_runs set session_id = null where id = $1', [moved.id])
  await refresh()
  expect(await rate()).toBe('0.5000')
})

describe('a capability is verified', () => {
  const capability = (name: string, values: SqlRow = {}) =>
    world.add('agent_capabilities', { agent_id: world.fixture.agentId, name, ...values })
  const verified = async (row: SqlRow) => (await world.read('agent_capabilities', String(row['id'])))['verified_at']

  test('by a run that completed, of a task that asks for it', async () => {
    const [sql, css, off] = [
      await capability('sql'),
      await capability('css'),
      await capability('off', { is_enabled: false }),
    ]
    const asks = (...capabilities: readonly string[]) => ({ execution_context: { capabilities } })
    await runOf('completed', {}, asks('sql', 'off'))
    await runOf('failed', {}, asks('css'))
    await runOf('completed', {}, { execution_context: { capabilities: 'css' } })
    await refresh()
    expect(await Promise.all([sql, css, off].map(verified))).toEqual([new Date('2026-06-01T12:00:02Z'), null, null])
  })

  test('by an admin, who may also take it back; by nobody else', async () => {
    const made = await capability('judgement')
    const verify = (more = {}, who = world.owner) =>
      world.call(who, 'capabilities.verify', { capabilityId: made.id, ...more })
    expect(await verify()).toEqual({ verifiedAt: ((await verified(made)) as Date).toISOString() })
    expect([await verify({ verified: false }), await verified(made)]).toEqual([{ verifiedAt: null }, null])
    for (const who of [world.agent, world.viewer])
      await expect(verify({}, who)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(verify({ capabilityId: newId() })).rejects.toMatchObject({ code: 'not_found' })
  })
})
