// What commands do, called without their command line: starting a process for each takes longer than all of it.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Console } from '../../server/cli/console.ts'
import { addPrice, bill, listPrices } from '../../server/cli/costs.ts'
import { rollback } from '../../server/cli/database-commands.ts'
import { runJob } from '../../server/cli/upkeep.ts'
import { createWorld, insert, type SqlRow, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let db: TestDatabase
let world: World
let said: unknown[]
let progress: string[]
const console: Console = {
  json: true,
  answer: (value) => void said.push(value),
  progress: (text) => void progress.push(text),
}

beforeAll(async () => {
  db = await createTestDatabase()
  // Brings the shipped policies.
  await db.database.migrate()
  world = await createWorld(db.database.pool)
})
afterAll(() => db.close())
beforeEach(() => {
  said = []
  progress = []
})

const query = async (text: string, values: readonly unknown[] = []): Promise<SqlRow[]> =>
  (await db.database.pool.query(text, [...values])).rows
const add = (table: string, values: SqlRow) =>
  insert(db.database.pool, table, { organization_id: world.organization, ...values })
const runs = (kind: string) =>
  query(
    `select triggered_by, dry_run, status, rows_affected::int as n from maintenance_runs where kind = $1 order by started_at`,
    [kind],
  )

describe('prices and bills', () => {
  const use = (values: SqlRow = {}) =>
    add('token_usages', {
      provider: 'acme',
      model: 'brain',
      input_tokens: 1_000_000,
      output_tokens: 0,
      occurred_at: '2026-05-10T00:00:00Z',
      ...values,
    })
  const month = { month: '2026-05-01', markup: 0.5 }
  const nextMonth = `${new Date(Date.now() + 40 * 86_400_000).toISOString().slice(0, 7)}-01`

  test('usage waits for its price, is billed when it has one, and what a dry run says is what is charged', async () => {
    await use()
    await use({ project_id: world.project })
    await expect(bill(db.database, month, console)).rejects.toMatchObject({
      code: 'constraint_violated',
      message: '2 usages from 2026-05-01 to 2026-06-01 have no cost.',
    })
    await expect(bill(db.database, { ...month, month: nextMonth }, console)).rejects.toMatchObject({
      code: 'constraint_violated',
      remedy: expect.stringContaining('Charge it from'),
    })
    const price = { provider: 'acme', model: 'brain', input: 2, output: 4, from: new Date('2026-01-01T00:00:00Z') }
    await addPrice(db.database, price, console)
    expect(said.at(-1)).toMatchObject({ priced: 2 })
    await expect(addPrice(db.database, price, console)).rejects.toMatchObject({ code: 'unique_violated' })
    await listPrices(db.database, console)
    expect(said.at(-1)).toMatchObject({
      prices: expect.arrayContaining([expect.objectContaining({ provider: 'acme', input: 2, output: 4 })]),
    })

    await bill(db.database, { ...month, dryRun: true }, console)
    const dry = said.at(-1)
    expect(dry).toMatchObject({ total: 6, charges: [{ cost: 2 }, { cost: 2, markup: 1, amount: 3 }] })
    expect(await query('select from billing_records')).toEqual([])
    await bill(db.database, month, console)
    expect(said.at(-1)).toEqual({ ...(dry as object), dryRun: false })
    await bill(db.database, month, console)
    expect(await query('select sum(amount)::float8 as n from billing_records')).toEqual([{ n: 6 }])
  })
})

describe('run', () => {
  const job = async (
    ...args: Parameters<typeof runJob> extends [unknown, infer J, infer O, unknown] ? [J, O?] : never
  ) => {
    await runJob(db.database, args[0], args[1] ?? {}, console)
    return said.at(-1)
  }

  test('partitions makes the months that are missing, and says which in a dry run', async () => {
    const dry = (await job('partitions', { dryRun: true })) as { missing: readonly string[] }
    expect(dry.missing.length).toBeGreaterThan(9)
    expect(await job('partitions')).toMatchObject({ status: 'completed', made: expect.any(Number) })
    expect(await job('partitions', { dryRun: true })).toMatchObject({ missing: [], waiting: 0 })
    expect(await runs('partitions')).toMatchObject([{ triggered_by: 'cli', status: 'completed' }])
  })

  test('decay says in a dry run how many memories fade, and fades as many', async () => {
    for (let n = 0; n < 3; n++)
      await add('memories', { scope: 'organization', content: `m${n}`, tier: 'hot', importance: n === 2 ? 1 : 0.1 })
    expect(await job('decay', { dryRun: true })).toMatchObject({ memories: 2 })
    expect(await query(`select count(*)::int as n from memories where tier = 'hot'`)).toEqual([{ n: 3 }])
    expect(await job('decay')).toMatchObject({ memories: 2 })
    expect(await runs('memory_decay')).toMatchObject([
      { dry_run: true, n: 2 },
      { dry_run: false, n: 2 },
    ])
  })

  test('prune keeps to the shipped policy of the log, and takes nothing under a legal hold', async () => {
    await query(`update sync_changes set occurred_at = now() - interval '91 days'`)
    await query(`insert into agent_types (organization_id, key, name) values ($1, 'young', 'x')`, [world.organization])
    const [{ n } = { n: 0 }] = await query(
      `select count(*)::int as n from sync_changes where occurred_at < now() - interval '90 days'`,
    )
    const policy = (values: string) =>
      query(`update retention_policies set ${values} where name = 'sync_changes' and organization_id is null`)
    await policy('legal_hold = true')
    expect(await job('prune')).toMatchObject({ changes: 0 })
    await policy(`legal_hold = false, keep_for = '100 days'`)
    expect(await job('prune')).toMatchObject({ changes: 0 })
    await policy(`keep_for = '90 days'`)
    expect(await job('prune', { dryRun: true })).toMatchObject({ changes: n })
    expect(await job('prune')).toMatchObject({ changes: n })
    expect(await runs('prune')).toMatchObject([{ triggered_by: 'cli', n }])
  })

  test('sweep says in a dry run whose work is taken back, and takes it', async () => {
    await add('agent_instances', {
      agent_id: world.agent,
      status: 'busy',
      last_heartbeat_at: new Date(Date.now() - 3_600_000),
    })
    expect(await job('sweep', { dryRun: true })).toMatchObject({ instances: 1 })
    expect(await job('sweep')).toMatchObject({ instances: 1 })
    expect(await job('sweep')).toMatchObject({ instances: 0 })
    expect(await runs('lease_sweep')).toMatchObject([{ n: 1 }])
  })

  test('reprice prices what was left over', async () => {
    await query(`update token_usages set cost_usd = null, model_price_id = null`)
    expect(await job('reprice', { dryRun: true })).toMatchObject({ usages: 2 })
    expect(await job('reprice')).toMatchObject({ usages: 2 })
    expect(progress).toContain('2 usages priced')
  })
})

test('rollback says in a dry run which migration it would revert, and reverts none', async () => {
  await rollback(db.database, { dryRun: true }, console)
  const [{ name } = { name: '' }] = await query('select name from mikro_orm_migrations order by id desc limit 1')
  expect(said).toEqual([{ reverted: name, dryRun: true }])
})
