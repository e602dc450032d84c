// Two who remember the same at the same moment.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { insert } from './rows.ts'
import { createRepositoryWorld, type RepositoryWorld } from '../repositories/world.ts'

let on: RepositoryWorld
beforeAll(async () => {
  on = await createRepositoryWorld('postgres')
})
afterAll(() => on.db.close())

test('the same words that two write down at the same time are one memory', async () => {
  const { pool } = on.db.database
  const [first, second] = [await pool.connect(), await pool.connect()]
  const { organization, user } = on.world
  const row = { organization_id: organization, scope: 'user', user_id: user, content: 'The deploy needs the VPN' }
  await first.query('begin')
  const one = await insert(first, 'memories', row)
  const other = insert(second, 'memories', row)
  let isEnded = false
  const noted = other.finally(() => (isEnded = true))
  const waiting = async (): Promise<boolean> =>
    (
      await pool.query(
        `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query ilike 'insert into memories%'`,
      )
    ).rowCount === 1
  // The second has got as far as it gets.
  await vi.waitUntil(async () => isEnded || (await waiting()), { timeout: 60_000 })
  await first.query('commit')
  expect(await noted).toMatchObject({ status: 'superseded', superseded_by_id: one.id })
  for (const client of [first, second]) client.release()
  const { rows } = await pool.query('select status, reinforcement_count from memories order by status')
  expect(rows).toEqual([
    { status: 'active', reinforcement_count: 1 },
    { status: 'superseded', reinforcement_count: 0 },
  ])
})
