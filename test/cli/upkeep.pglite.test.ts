// What commands do, called without their command line: starting a process for each takes longer than all of it.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { resolveConflict } from '../../server/cli/conflicts.ts'
import type { Console } from '../../server/cli/console.ts'
import { addPrice, bill, listPrices } from '../../server/cli/costs.ts'
import { rollback } from '../../server/cli/schema.ts'
import { runJob } from '../../server/cli/upkeep.ts'
import { verify } from '../../server/cli/verify.ts'
import { createWorld, insert, type SqlRow, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId } from '../support/fixtures.ts'

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

describe('verify', () => {
  const look = async () => {
    const code = await verify({ database: db.database, catalog: loadCatalog(), console })
    const { tables } = said.at(-1) as { tables: readonly { table: string; examples: readonly string[] }[] }
    return { code, tasks: tables.find(({ table }) => table === 'tasks') }
  }
  const task = (title: string) => add('tasks', { project_id: world.project, title })
  /** Runs statements that capture does not hear of. */
  const unheard = async (text: string, values: readonly unknown[]): Promise<void> => {
    await query('alter table tasks disable trigger user')
    await query(text, values)
    await query('alter table tasks enable trigger user')
  }

  test('agrees with what was changed, also by a transaction that took long', async () => {
    const { id } = await task('long')
    const client = await db.database.pool.connect()
    await client.query('begin')
    await client.query(`insert into tasks (organization_id, project_id, title) values ($1, $2, 'slow')`, [
      world.organization,
      world.project,
    ])
    await client.query(`update tasks set title = 'longer' where id = $1`, [id])
    await client.query('select pg_sleep(0.3)')
    await client.query('commit')
    client.release()
    expect(await look()).toMatchObject({ code: 0, tasks: { rows: 2, strayed: 0, unlogged: 0, vanished: 0 } })
  })

  test('finds an update, an insert and a delete that the log does not have', async () => {
    const [updated, deleted] = [await task('updated'), await task('deleted')]
    await unheard(
      `update tasks set title = 'lost', updated_at = now() + interval '1 second', version = version + 1 where id = $1`,
      [updated.id],
    )
    await unheard('delete from tasks where id = $1', [deleted.id])
    const found = await look()
    expect(found).toMatchObject({ code: 1, tasks: { unlogged: 1, vanished: 1 } })
    expect(found.tasks?.examples.toSorted()).toEqual([updated.id, deleted.id].toSorted())
    await unheard(
      `insert into tasks (organization_id, channel, project_id, title) select organization_id, channel, project_id, 'unheard' from tasks where id = $1`,
      [updated.id],
    )
    expect(await look()).toMatchObject({ code: 1, tasks: { unlogged: 2, vanished: 1 } })
    await query(`update tasks set title = title || '!'`)
    expect(await look()).toMatchObject({ tasks: { unlogged: 0, vanished: 1 } })
  })
})

test('a conflict of somebody who has left is settled by an owner, or by whom --as names', async () => {
  const people = await Promise.all(
    ['owner', 'member', 'member'].map(async (role, n) => {
      const email = `${role}-${n}@settle.example.com`
      const { id } = await insert(db.database.pool, 'users', { email })
      await add('organization_members', { user_id: id, role, display_name: role, email })
      return { id, email }
    }),
  )
  const [owner, left, member] = people.map(({ id, email }) => ({ id, email }))
  if (!owner || !left || !member) throw new Error('Nobody is there.')
  const row = await add('tasks', { project_id: world.project, title: 'theirs' })
  const open = async () =>
    add('sync_conflicts', {
      channel: `project/${world.project}`,
      user_id: left.id,
      mutation_id: newId(),
      table_name: 'tasks',
      row_id: row.id,
      kind: 'field',
      base_version: 1,
      server_version: 1,
      fields: JSON.stringify({ title: { base: 'before', mine: 'mine', theirs: 'theirs' } }),
      client_patch: JSON.stringify({ title: 'mine' }),
    })
  const job = { database: db.database, catalog: loadCatalog(), console }
  const settledBy = async (id: string) =>
    (await query('select status, resolved_by_user_id as by from sync_conflicts where id = $1', [id]))[0]
  await query(`update organization_members set status = 'suspended' where user_id = $1`, [left.id])

  const first = await open()
  await resolveConflict(job, first.id, { take: 'client' })
  expect(said.at(-1)).toMatchObject({ by: { name: owner.email, own: false }, outcome: { kind: 'applied' } })
  expect(await settledBy(first.id)).toEqual({ status: 'resolved', by: owner.id })
  expect(await query('select title from tasks where id = $1', [row.id])).toEqual([{ title: 'mine' }])

  const second = await open()
  await expect(resolveConflict(job, second.id, { take: 'server', as: left.email })).rejects.toMatchObject({
    code: 'not_found',
  })
  await resolveConflict(job, second.id, { take: 'server', as: member.email })
  expect(await settledBy(second.id)).toEqual({ status: 'resolved', by: member.id })
})

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

  test('the first price of a model is in force from its oldest usage on, and what a later one leaves unpriced is named', async () => {
    const of = { provider: 'acme', model: 'heart' }
    await use({ model: 'heart' })
    await use({ model: 'heart', occurred_at: '2026-05-02T00:00:00Z' })
    await addPrice(db.database, { ...of, input: 1, output: 1 }, console)
    expect(said.at(-1)).toEqual({
      id: expect.any(String),
      from: new Date('2026-05-02T00:00:00Z'),
      priced: 2,
      unpriced: 0,
    })
    await use({ model: 'heart', occurred_at: '2026-04-01T00:00:00Z' })
    await addPrice(db.database, { ...of, input: 2, output: 2 }, console)
    expect(said.at(-1)).toMatchObject({ priced: 0, unpriced: 1 })
    await addPrice(db.database, { ...of, input: 2, output: 2, from: new Date('2026-04-01T00:00:00Z') }, console)
    expect(said.at(-1)).toMatchObject({ priced: 1, unpriced: 0 })
    await query(`delete from token_usages where model = 'heart'`)
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

  test('memory-decay says in a dry run how many memories fade, and fades as many', async () => {
    for (let n = 0; n < 3; n++)
      await add('memories', { scope: 'organization', content: `m${n}`, tier: 'hot', importance: n === 2 ? 1 : 0.1 })
    expect(await job('memory-decay', { dryRun: true })).toMatchObject({ memories: 2 })
    expect(await query(`select count(*)::int as n from memories where tier = 'hot'`)).toEqual([{ n: 3 }])
    expect(await job('memory-decay')).toMatchObject({ memories: 2 })
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

  test('lease-sweep says in a dry run whose work is taken back, and takes it', async () => {
    await add('agent_instances', {
      agent_id: world.agent,
      status: 'busy',
      last_heartbeat_at: new Date(Date.now() - 3_600_000),
    })
    expect(await job('lease-sweep', { dryRun: true })).toMatchObject({ instances: 1 })
    expect(await job('lease-sweep')).toMatchObject({ instances: 1 })
    expect(await job('lease-sweep')).toMatchObject({ instances: 0 })
    expect(await runs('lease_sweep')).toMatchObject([{ n: 1 }])
  })

  test('repricing prices what was left over', async () => {
    await query(`update token_usages set cost_usd = null, model_price_id = null`)
    expect(await job('repricing', { dryRun: true })).toMatchObject({ usages: 2 })
    expect(await job('repricing')).toMatchObject({ usages: 2 })
    expect(progress).toContain('2 usages priced')
  })
})

test('rollback says in a dry run which migration it would revert, and reverts none', async () => {
  await rollback({ database: db.database, console }, { dryRun: true })
  const [{ name } = { name: '' }] = await query('select name from mikro_orm_migrations order by id desc limit 1')
  expect(said).toEqual([{ reverted: name, dryRun: true }])
})
