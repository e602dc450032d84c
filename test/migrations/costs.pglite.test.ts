import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, rowOf, type SqlRow, type World } from './rows.ts'

let db: TestDatabase
let world: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database.pool)
})
afterAll(() => db.close())

const query = async (text: string, values: readonly unknown[] = []): Promise<SqlRow[]> =>
  (await db.database.pool.query(text, [...values])).rows
const add = (table: string, values: SqlRow) =>
  insert(db.database.pool, table, { organization_id: world.organization, ...values })
const price = (values: SqlRow) =>
  insert(db.database.pool, 'model_prices', {
    provider: 'test',
    input_cost_per_million: 1,
    output_cost_per_million: 2,
    effective_from: '2026-01-01T00:00:00Z',
    ...values,
  })
const use = (values: SqlRow = {}) =>
  add('token_usages', {
    provider: 'test',
    model: 'm',
    input_tokens: 1_000_000,
    output_tokens: 1_000_000,
    occurred_at: '2026-06-01T12:00:00Z',
    ...values,
  })
const costOf = (row: SqlRow): number | null => (row['cost_usd'] === null ? null : Number(row['cost_usd']))

describe('a usage costs', () => {
  test('3.65 USD for a million tokens in and out of the shipped Gemini model', async () => {
    await db.database.migrate()
    const usage = await use({
      provider: 'openrouter',
      model: 'google/gemini-2.5-flash-preview-05-20:thinking',
      occurred_at: new Date(),
    })
    expect(usage['cost_usd']).toBe('3.65000000')
  })

  test('what the price in force then says, whatever comes later', async () => {
    await price({ model: 'dated', effective_to: '2026-07-01T00:00:00Z' })
    const before = await use({ model: 'dated' })
    await price({ model: 'dated', input_cost_per_million: 10, effective_from: '2026-07-01T00:00:00Z' })
    const after = await use({ model: 'dated', occurred_at: '2026-07-01T00:00:00Z' })
    expect([costOf(before), costOf(after)]).toEqual([3, 12])
    expect(costOf((await query('select cost_usd from token_usages where id = $1', [before.id]))[0] ?? {})).toBe(3)
  })

  test("the organization's own price before the shipped one", async () => {
    await price({ model: 'own' })
    await price({ model: 'own', organization_id: world.organization, input_cost_per_million: 0.5 })
    expect(costOf(await use({ model: 'own' }))).toBe(2.5)
  })

  test('less for what was cached', async () => {
    await price({ model: 'cached', cached_input_cost_per_million: 0.1 })
    expect(costOf(await use({ model: 'cached', cached_input_tokens: 500_000 }))).toBe(0.5 + 0.05 + 2)
    await price({ model: 'uncached' })
    expect(costOf(await use({ model: 'uncached', cached_input_tokens: 500_000 }))).toBe(3)
  })

  test('NULL for an unknown model, with one warning a day, until a price comes', async () => {
    const usages = [await use({ model: 'unknown' }), await use({ model: 'unknown' })]
    expect(usages.map(costOf)).toEqual([null, null])
    expect(
      await query(`select severity, context from error_logs where fingerprint = 'price_missing:test:unknown'`),
    ).toEqual([{ severity: 'warning', context: { provider: 'test', model: 'unknown' } }])
    await price({ model: 'unknown', effective_from: '2026-05-01T00:00:00Z' })
    expect((await query(`select cost_usd from token_usages where model = 'unknown'`)).map(costOf)).toEqual([3, 3])
    expect(await query(`select sync.reprice_usage()::int as n`)).toEqual([{ n: 0 }])
  })

  test('what a late price says, of those whom and the time that it is for', async () => {
    const [other, before, inForce] = [
      await createWorld(db.database.pool),
      await use({ model: 'late', occurred_at: '2026-04-30T23:59:59Z' }),
      await use({ model: 'late' }),
    ]
    const others = await use({ model: 'late', organization_id: other.organization })
    await price({ model: 'late', organization_id: world.organization, effective_from: '2026-05-01T00:00:00Z' })
    const costs = async () =>
      Object.fromEntries(
        (await query(`select id, cost_usd from token_usages where model = 'late'`)).map((row) => [
          row['id'],
          costOf(row),
        ]),
      )
    expect(await costs()).toEqual({ [before.id]: null, [inForce.id]: 3, [others.id]: null })
  })

  test('the price in batches, when there is more than a transaction should take', async () => {
    await price({ model: 'many' })
    for (let n = 0; n < 3; n++) await use({ model: 'many' })
    await query(`update token_usages set cost_usd = null, model_price_id = null where model = 'many'`)
    const batch = async () => (await query('select sync.reprice_usage(2)::int as n'))[0]?.['n']
    expect([await batch(), await batch(), await batch()]).toEqual([2, 1, 0])
  })

  test('once when it is uploaded twice', async () => {
    await price({ model: 'twice' })
    const { id, occurred_at: at } = await use({ model: 'twice' })
    await expect(use({ model: 'twice', id, occurred_at: at })).rejects.toMatchObject({ code: '23505' })
  })
})

describe('an estimate that is closed', () => {
  test('shows what its subject came to with all that is in it, and how far off it was', async () => {
    await price({ model: 'estimated' })
    const here = { project_id: world.project }
    const plan = await add('plans', { ...here, title: 'Plan' })
    const phase = await add('phases', { ...here, title: 'P', plan_id: plan.id })
    const step = await add('macro_steps', { ...here, phase_id: phase.id, title: 'S' })
    const task = await add('tasks', { ...here, title: 'T', macro_step_id: step.id })
    const below = await add('tasks', { ...here, title: 'B', parent_task_id: task.id })
    const deep = await add('tasks', { ...here, title: 'D', parent_task_id: below.id })
    const planned = await add('tasks', { ...here, title: 'L', plan_id: plan.id })
    const run = await add('task_runs', { ...here, task_id: planned.id })
    for (const of of [
      { task_id: task.id },
      { task_id: deep.id },
      { macro_step_id: step.id },
      { task_run_id: run.id },
      {},
    ])
      await use({ model: 'estimated', ...here, ...of })
    const day = { usage_date: '2025-01-01', provider: 'test', model: 'estimated', cost_usd: 7 }
    await add('token_usage_daily', { ...here, ...day })
    for (const [subject, expected] of [
      [{ task_id: deep.id }, 3],
      [{ task_id: task.id }, 6],
      [{ macro_step_id: step.id }, 9],
      [{ phase_id: phase.id }, 9],
      [{ plan_id: plan.id }, 12],
      [{}, 22],
    ] as const) {
      const estimate = await add('cost_estimates', { ...here, cost_expected: 2, ...subject })
      expect(estimate).toMatchObject({ actual_cost: null, closed_at: null })
      await query(`update cost_estimates set status = 'closed' where id = $1`, [estimate.id])
      const closed = await rowOf(db.database.pool, 'cost_estimates', estimate.id)
      expect.soft(Number(closed['actual_cost']), Object.keys(subject).join()).toBe(expected)
      expect(closed).toMatchObject({ variance_ratio: (expected - 2) / 2, closed_at: expect.any(Date) })
    }
  })

  test('is worked out anew when a price comes, and keeps its figure when the detail goes', async () => {
    const task = await add('tasks', { project_id: world.project, title: 'T' })
    await use({ model: 'priced later', project_id: world.project, task_id: task.id })
    const of = { project_id: world.project, task_id: task.id, cost_expected: 2 }
    const estimate = await add('cost_estimates', { ...of, status: 'closed' })
    const actual = async () => (await rowOf(db.database.pool, 'cost_estimates', estimate.id))['actual_cost']
    expect(await actual()).toBeNull()
    await price({ model: 'priced later' })
    expect(Number(await actual())).toBe(3)
    await query('delete from token_usages where task_id = $1', [task.id])
    await query('update cost_estimates set confidence = 0.5 where id = $1', [estimate.id])
    expect(Number(await actual())).toBe(3)
  })
})

describe('billing', () => {
  test('a month is the sum of its usage plus markup, and once', async () => {
    const other = await createWorld(db.database.pool)
    await price({ model: 'billed' })
    const usage = { model: 'billed', organization_id: other.organization }
    await use({ ...usage, project_id: other.project, occurred_at: '2026-03-01T00:00:00Z' })
    await use({ ...usage, project_id: other.project, occurred_at: '2026-03-31T23:59:59.999Z' })
    await use({ ...usage, occurred_at: '2026-03-15T00:00:00Z' })
    await use({ ...usage, occurred_at: '2026-04-01T00:00:00Z' })
    const bill = `select sync.bill($1, '2026-03-01', '2026-04-01', 0.2)::int as n`
    expect(await query(bill, [other.organization])).toEqual([{ n: 2 }])
    expect(await query(bill, [other.organization])).toEqual([{ n: 0 }])
    expect(
      await query(
        'select sum(usage_cost)::float8 as cost, sum(markup)::float8 as markup, sum(amount)::float8 as amount from billing_records where organization_id = $1',
        [other.organization],
      ),
    ).toEqual([{ cost: 9, markup: 1.8, amount: 10.8 }])
  })

  test('charges usage that arrives after its month was charged, by further rows', async () => {
    const other = await createWorld(db.database.pool)
    await price({ model: 'late comer' })
    const usage = { model: 'late comer', organization_id: other.organization, occurred_at: '2026-03-10T00:00:00Z' }
    const bill = async () =>
      (await query(`select sync.bill($1, '2026-03-01', '2026-04-01', 0.2)::int as n`, [other.organization]))[0]?.['n']
    const charges = () =>
      query(
        `select reverses_id is null as first, input_tokens::int as input, usage_cost::float8 as cost, amount::float8 from billing_records
         where organization_id = $1 order by created_at, reverses_id nulls first`,
        [other.organization],
      )
    await use(usage)
    expect(await bill()).toBe(1)
    await use(usage)
    await use({ ...usage, project_id: other.project })
    expect([await bill(), await bill()]).toEqual([2, 0])
    const one = { input: 1_000_000, cost: 3, amount: 3.6 }
    expect(await charges()).toEqual([{ first: true, ...one }, expect.anything(), expect.anything()])
    expect(await charges()).toContainEqual({ first: false, ...one })
    // A charge that is taken back is made anew.
    await query(
      `insert into billing_records (organization_id, period_start, period_end, provider, model, input_tokens, output_tokens, usage_cost, markup, reverses_id)
       select organization_id, period_start, period_end, provider, model, -input_tokens, -output_tokens, -usage_cost, -markup, id
       from billing_records where organization_id = $1 and reverses_id is null and project_id is null`,
      [other.organization],
    )
    expect([await bill(), await bill()]).toEqual([1, 0])
    const [sum] = await query('select sum(amount)::float8 as n from billing_records where organization_id = $1', [
      other.organization,
    ])
    expect(sum?.['n']).toBeCloseTo(3 * 3.6)
  })

  test('of a month is refused before it has ended, and when its detail is gone', async () => {
    const other = await createWorld(db.database.pool)
    await price({ model: 'summed up' })
    const usage = { model: 'summed up', organization_id: other.organization }
    await expect(
      query(
        `select sync.bill($1, date_trunc('month', now())::date, (date_trunc('month', now()) + interval '1 month')::date, 0)`,
        [other.organization],
      ),
    ).rejects.toMatchObject({ code: '23514', column: 'period_end', message: expect.stringContaining('has not ended') })
    const bill = () => query(`select sync.bill($1, '2026-03-01', '2026-04-01', 0)::int as n`, [other.organization])
    for (let day = 1; day <= 2; day++) await use({ ...usage, occurred_at: `2026-03-0${day}T00:00:00Z` })
    expect(await bill()).toEqual([{ n: 1 }])
    await query(`delete from token_usages where organization_id = $1 and occurred_at < '2026-03-02'`, [
      other.organization,
    ])
    await expect(bill()).rejects.toMatchObject({ code: '23514', column: 'usage_cost' })
  })

  test('is refused while a usage has no cost', async () => {
    const other = await createWorld(db.database.pool)
    await use({ model: 'free lunch', organization_id: other.organization })
    await expect(query(`select sync.bill($1, '2026-06-01', '2026-07-01', 0)`, [other.organization])).rejects.toThrow(
      '1 usages',
    )
  })

  test('never changes a charge but its status', async () => {
    const charge = await add('billing_records', { period_start: '2026-01-01', period_end: '2026-02-01', usage_cost: 5 })
    await query(`update billing_records set status = 'invoiced', invoice_ref = 'I-1' where id = $1`, [charge.id])
    await expect(query('update billing_records set usage_cost = 4 where id = $1', [charge.id])).rejects.toMatchObject({
      code: '23514',
      constraint: 'billing_records_issued',
    })
  })

  test('keeps the charges of people and projects that are gone, however many of them were of one month', async () => {
    const month = { period_start: '2026-02-01', period_end: '2026-03-01', provider: 'test', model: 'gone' }
    const charged: unknown[] = []
    for (const n of [1, 2]) {
      const project = await add('projects', { name: `Gone ${n}`, slug: `gone-${n}` })
      const user = await insert(db.database.pool, 'users', { email: `gone${n}@example.com` })
      charged.push(project.id, user.id)
      await add('billing_records', { ...month, project_id: project.id, user_id: user.id, usage_cost: n })
    }
    await query('delete from projects where id = any ($1::uuid[])', [charged])
    await query('delete from users where id = any ($1::uuid[])', [charged])
    expect(
      await query(
        `select user_id, project_id, usage_cost::float8 as cost from billing_records where model = 'gone' order by cost`,
      ),
    ).toEqual([
      { user_id: null, project_id: null, cost: 1 },
      { user_id: null, project_id: null, cost: 2 },
    ])
  })
})
