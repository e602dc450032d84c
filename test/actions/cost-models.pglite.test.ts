import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Json } from '../../protocol/rows/row.ts'
import type { SqlRow } from '../migrations/rows.ts'
import { createActionWorld, type ActionWorld } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld()
  await world.query(
    `insert into model_prices (provider, model, input_cost_per_million, output_cost_per_million, effective_from) values ('test', 'm', 1, 2, '2026-01-01')`,
  )
})
afterAll(() => world.close())
beforeEach(() =>
  world.query('delete from cost_estimates; delete from cost_models; delete from token_usages; delete from tasks'),
)

/** The job that comes every minute. */
const learn = async () => {
  await world.query('select sync.refresh_usage_stats()')
  return (await world.query('select sync.train_cost_models() as n'))[0]?.['n']
}
const model = (values: SqlRow = {}) =>
  world.add('cost_models', { name: 'usual', kind: 'average', target: 'cost', ...values })
const read = (row: SqlRow, table = 'cost_models') => world.read(table, String(row['id']))
const end = (task: SqlRow) => world.query(`update tasks set status = 'completed' where id = $1`, [task['id']])
const use = (task: SqlRow, dollars: number) =>
  world.add('token_usages', {
    provider: 'test',
    model: 'm',
    input_tokens: dollars * 1_000_000,
    output_tokens: 0,
    project_id: world.fixture.projectId,
    task_id: task['id'],
  })

/** A task that was to cost so many dollars, and has cost so many. */
async function spend(expected: number, actual: number, values: SqlRow = {}) {
  const task = await world.addTask()
  const estimate = await world.add('cost_estimates', {
    project_id: world.fixture.projectId,
    task_id: task.id,
    cost_expected: expected,
    ...values,
  })
  await use(task, actual)
  await end(task)
  return { task, estimate }
}

describe('an estimate is closed with', () => {
  test('its task, and has what arrives late', async () => {
    const { task, estimate } = await spend(2, 3)
    expect(await read(estimate, 'cost_estimates')).toMatchObject({
      status: 'closed',
      actual_cost: '3.00000000',
      variance_ratio: 0.5,
    })
    await use(task, 1)
    await learn()
    expect(await read(estimate, 'cost_estimates')).toMatchObject({ actual_cost: '4.00000000', variance_ratio: 1 })
  })

  test.each(['plans', 'phases', 'macro_steps', 'projects'] as const)(
    'one of the %s, and with no other',
    async (table) => {
      const project = await world.add('projects', { name: table, slug: `closing-${table.replace('_', '-')}` })
      const here = { project_id: project.id }
      const made = async () => {
        const plan = await world.add('plans', { ...here, title: 'Plan' })
        const phase = await world.add('phases', { ...here, plan_id: plan.id, title: 'Phase' })
        const step = await world.add('macro_steps', { ...here, phase_id: phase.id, title: 'Step' })
        return { plans: plan, phases: phase, macro_steps: step, projects: project }
      }
      const columns = { plans: 'plan_id', phases: 'phase_id', macro_steps: 'macro_step_id' }
      const estimate = (of: SqlRow) => world.add('cost_estimates', { ...here, cost_expected: 1, ...of })
      const [one, other] = [await made(), await made()]
      const of = (which: typeof one) => (table === 'projects' ? {} : { [columns[table]]: which[table].id })
      const [its, others, superseded] = [
        await estimate(of(one)),
        await estimate(of(other)),
        await estimate({ ...of(one), status: 'superseded' }),
      ]
      await world.query(`update ${table} set status = 'completed' where id = $1`, [one[table].id])
      const status = async (row: SqlRow) => (await read(row, 'cost_estimates'))['status']
      expect(await status(its)).toBe('closed')
      expect(await status(others)).toBe(table === 'projects' ? 'closed' : 'draft')
      expect(await status(superseded)).toBe('superseded')
    },
  )
})

describe('a model', () => {
  test('is the mean of what was spent of what was foreseen, and says how far off it is', async () => {
    const made = await model()
    await spend(1, 2)
    await spend(2, 8)
    expect(await learn()).toBe(1)
    // A ratio of 3: 3 foreseen for 2, 6 for 8.
    expect(await read(made)).toMatchObject({
      parameters: { ratio: 3 },
      sample_count: 2,
      mean_absolute_error: 1.5,
      mean_absolute_pct_error: 37.5,
      r_squared: expect.closeTo(1 - 5 / 18),
      trained_at: expect.any(Date),
    })
    expect(await learn()).toBe(0)
  })

  test('of another kind is measured by the estimates that name it, and keeps its parameters', async () => {
    const made = await model({ kind: 'external', parameters: { ours: true } })
    await spend(1, 4)
    await spend(3, 4, { cost_model_id: made.id })
    await learn()
    expect(await read(made)).toMatchObject({
      parameters: { ours: true },
      sample_count: 1,
      mean_absolute_error: 1,
      mean_absolute_pct_error: 25,
      r_squared: null,
    })
  })

  test('of tokens and one of hours learn from tokens and hours', async () => {
    const [ofTokens, ofHours] = [
      await model({ name: 'tokens', target: 'tokens' }),
      await model({ name: 'hours', target: 'hours' }),
    ]
    await spend(1, 2, { estimated_input_tokens: 500_000, estimated_output_tokens: 500_000 })
    await end(await world.addTask({ estimated_hours: 2, actual_hours: 1 }))
    await learn()
    expect(await read(ofTokens)).toMatchObject({ parameters: { ratio: 2 }, sample_count: 1 })
    expect(await read(ofHours)).toMatchObject({ parameters: { ratio: 0.5 }, sample_count: 1 })
  })

  test('learns from no other organization, and from nothing nothing', async () => {
    const made = await model()
    await learn()
    expect(await read(made)).toMatchObject({ sample_count: 0, trained_at: null, parameters: {} })
  })

  test('is the only active one of its target; a second one is refused, and the message names the first', async () => {
    const first = await model({ is_active: true })
    await expect(model({ name: 'second', is_active: true })).rejects.toMatchObject({
      constraint: 'cost_models_one_active',
      message: expect.stringContaining(`usual (revision 1, id ${first.id}) is active for cost`),
    })
    await model({ name: 'of tokens', target: 'tokens', is_active: true })
    await world.query('update cost_models set is_active = false where id = $1', [first.id])
    await model({ name: 'second', is_active: true })
  })
})

describe('costs.estimate', () => {
  const estimate = async (more: Readonly<Record<string, Json>> = {}, who = world.agent) =>
    (
      (await world.call(who, 'costs.estimate', {
        projectId: world.fixture.projectId,
        provider: 'test',
        model: 'm',
        inputTokens: 1_000_000,
        outputTokens: 500_000,
        ...more,
      })) as unknown as { readonly estimate: SqlRow & { readonly id: string } }
    ).estimate

  test('is the price without a model, and what the active one has learned with it, which learns from the price alone', async () => {
    expect(await estimate()).toMatchObject({
      costExpected: 2,
      costLow: null,
      confidence: null,
      costModelId: null,
      status: 'draft',
    })
    const made = await model({ is_active: true })
    await spend(1, 1)
    await spend(1, 3)
    await learn()
    // A ratio of 2: off by 1 of 1 and by 1 of 3.
    const task = await world.addTask()
    const answer = await estimate({ taskId: task.id })
    expect(answer).toMatchObject({
      costModelId: made.id,
      taskId: task.id,
      estimatedInputTokens: 2_000_000,
      costLow: 1.333333,
      costExpected: 4,
      costHigh: 6.666667,
      confidence: 0.33,
      createdByAgentId: world.fixture.agentId,
    })
    await use(task, 4)
    await end(task)
    await learn()
    expect(await read(made)).toMatchObject({ parameters: { ratio: 2 }, sample_count: 3 })
  })

  test('refuses whoever may not, what is of two things or of another project, and a model without a price', async () => {
    await expect(estimate({}, world.viewer)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(estimate({ model: 'nobody knows' })).rejects.toMatchObject({ code: 'not_found' })
    const other = await world.add('projects', { name: 'Other', slug: 'other' })
    const task = await world.addTask({ project_id: other.id })
    await expect(estimate({ taskId: task.id })).rejects.toMatchObject({ code: 'not_found' })
    await expect(estimate({ taskId: task.id, planId: task.id })).rejects.toMatchObject({ code: 'bad_message' })
  })
})
