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
    expect(await query(`select sync.reprice_usage('2026-01-01', '2027-01-01')::int as n`)).toEqual([{ n: 2 }])
    expect((await query(`select cost_usd from token_usages where model = 'unknown'`)).map(costOf)).toEqual([3, 3])
    expect(await query(`select sync.reprice_usage('2026-01-01', '2027-01-01')::int as n`)).toEqual([{ n: 0 }])
  })

  test('once when it is uploaded twice', async () => {
    await price({ model: 'twice' })
    const { id, occurred_at: at } = await use({ model: 'twice' })
    await expect(use({ model: 'twice', id, occurred_at: at })).rejects.toMatchObject({ code: '23505' })
  })
})

test('an estimate that is closed shows what it came to, and how far off it was', async () => {
  await price({ model: 'estimated' })
  const phase = await add('phases', { project_id: world.project, title: 'P' })
  const step = await add('macro_steps', { project_id: world.project, phase_id: phase.id, title: 'S' })
  const task = await add('tasks', { project_id: world.project, title: 'T', macro_step_id: step.id })
  await use({ model: 'estimated', project_id: world.project, task_id: task.id })
  await use({ model: 'estimated', project_id: world.project, macro_step_id: step.id })
  await use({ model: 'estimated', project_id: world.project })
  for (const [subject, expected] of [
    [{ task_id: task.id }, 3],
    [{ macro_step_id: step.id }, 6],
    [{ phase_id: phase.id }, 6],
  ] as const) {
    const estimate = await add('cost_estimates', { project_id: world.project, cost_expected: 2, ...subject })
    expect(estimate).toMatchObject({ actual_cost: null, closed_at: null })
    await query(`update cost_estimates set status = 'closed' where id = $1`, [estimate.id])
    const closed = await rowOf(db.database.pool, 'cost_estimates', estimate.id)
    expect(Number(closed['actual_cost'])).toBe(expected)
    expect(closed).toMatchObject({ variance_ratio: (expected - 2) / 2, closed_at: expect.any(Date) })
  }
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
})
