// The small edition of `npm run bench -- model`: the same questions to a database of thousands of rows instead of a million.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runConcurrently } from '../../bench/model/concurrent.ts'
import { fillEveryTable } from '../../bench/model/fill.ts'
import { probeIndexes } from '../../bench/model/index-probe.ts'
import { planOfUsage } from '../../bench/model/usage-plan.ts'
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
