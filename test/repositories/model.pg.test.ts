// The small edition of `npm run bench -- model`: the same questions to a database of thousands of rows instead of a
// million.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runConcurrently } from '../../bench/model/concurrent.ts'
import { fillEveryTable } from '../../bench/model/fill.ts'
import { probeIndexes } from '../../bench/model/index-probe.ts'
import { planOfUsage } from '../../bench/model/usage-plan.ts'
import { modelQueries, takeSamples } from '../../bench/model/queries.ts'
import { seedModel } from '../../bench/model/model-data.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { openDatabase } from '../../server/db/db.ts'
import { createRepositories } from '../../server/repositories/repositories.ts'
import { createTestDatabase } from '../support/database.ts'
import { createRepositoryWorld, type RepositoryWorld } from './world.ts'

let on: RepositoryWorld
beforeAll(async () => {
  on = await createRepositoryWorld('postgres')
})
afterAll(() => on.db.close())

test(
  'a thousand claims, patches and inserts at the same time lose nothing, double nothing and fail nowhere',
  { timeout: 120_000 },
  async () => {
    const target = { projectId: on.world.project, agentId: on.world.agent }
    const { wrong } = await runConcurrently(on.repositories, on.actor, target, 1000)
    expect(wrong).toEqual([])
  },
)

describe('every index', () => {
  test('serves the queries that it was made for, five times cheaper than none', { timeout: 300_000 }, async () => {
    await using filled = await createTestDatabase({ kind: 'postgres' })
    const client = await filled.database.pool.connect()
    await fillEveryTable(client, 3000, () => undefined, { rowsWithLists: 10_000 })
    const probed = await probeIndexes(client).finally(() => client.release())
    expect(new Set(probed.map(({ method }) => method))).toEqual(new Set(['btree', 'gin', 'hnsw']))
    expect(probed.length).toBeGreaterThan(400)
    const bad = probed.filter(({ isTaken, times }) => !isTaken || times < 5)
    expect(
      bad.map(({ name, isTaken, times, statement }) => ({ name, isTaken, times, statement: statement.slice(0, 300) })),
    ).toEqual([])
  })
})

test(
  'no query of a repository reads a large table through, nor more rows of it than one project has',
  { timeout: 240_000 },
  async () => {
    await using open = new AsyncDisposableStack()
    const own = open.use(await createTestDatabase({ kind: 'postgres' }))
    const sizes = { tasks: 20_000, usages: 40_000, memories: 1000 }
    const client = await own.database.pool.connect()
    const data = await seedModel(client, sizes, () => undefined)
    // What making the rows has read would be counted up to a minute later otherwise.
    await client.query('select pg_stat_force_next_flush()')
    client.release()
    // One connection, which can be asked to tell what it has read.
    const single = await openDatabase({ database: { ...own.config, poolSize: 1 } }, { mode: 'either' })
    open.defer(() => single.close())
    const read = async () => {
      await single.pool.query('select pg_stat_force_next_flush()')
      const { rows } = await own.database.pool.query<{ through: number; picked: number }>(
        `select sum(seq_tup_read)::int as through, sum(coalesce(idx_tup_fetch, 0))::int as picked
         from pg_stat_user_tables where relname = 'tasks' or relname like 'token_usages%'`,
      )
      return rows[0] ?? { through: 0, picked: 0 }
    }
    const repositories = createRepositories({ database: single, catalog: loadCatalog() })
    const samples = await takeSamples(repositories, data)
    // A row that is changed is found, locked and read again.
    const share = 1.5 * (sizes.tasks / data.projectIds.length)
    const actor = { organizationId: data.organizationId, userId: data.userId }
    for (const query of modelQueries(data, samples)) {
      const { name } = query
      const before = await read()
      for (const round of [1, 2]) await repositories.withUnit(actor, (unit) => query.run(unit, round))
      const after = await read()
      expect.soft(after.through - before.through, `${name}: rows of whole tables`).toBe(0)
      expect.soft((after.picked - before.picked) / 2, `${name}: rows by an index`).toBeLessThan(share)
    }
    const all = await read()
    await single.pool.query('select count(title) from tasks')
    expect((await read()).through - all.through).toBeGreaterThanOrEqual(sizes.tasks)
  },
)

test('a week of usage is read from its months alone, and of them by the covering index alone', async () => {
  const { pool } = on.db.database
  const { organization, project, agent } = on.world
  const insert = (count: number) =>
    pool.query(
      `insert into token_usages (organization_id, project_id, agent_id, provider, model, input_tokens, output_tokens, occurred_at)
       select $1, $2, $3, 'openai', 'gpt-4', 10, 10, timestamptz '2026-03-01Z' + i * interval '120 days' / $4::int from generate_series(1, $4::int) i`,
      [organization, project, agent, count],
    )
  await insert(4)
  await pool.query('select sync.ensure_partitions(0)')
  await insert(3000)
  await pool.query('vacuum analyze token_usages')
  const plan = await planOfUsage(pool, project, new Date('2026-04-28'), new Date('2026-05-05'))
  expect(plan).toEqual({
    partitions: ['token_usages_y2026m04', 'token_usages_y2026m05'],
    ways: ['Index Only Scan'],
    indexes: ['btree (project_id, occurred_at) INCLUDE (agent_id, model, input_tokens, output_tokens, cost_usd)'],
  })
})
