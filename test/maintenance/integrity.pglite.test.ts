import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { seedDemo } from '../../server/demo/demo.ts'
import { readIntegrity } from '../../server/maintenance/maintenance.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let home: TestDatabase

beforeAll(async () => {
  home = await createTestDatabase()
})
afterAll(() => home.close())

const problems = async (): Promise<unknown> =>
  (await readIntegrity(home.database.pool)).filter((look) => look.problems > 0)

const marked = async (): Promise<unknown> => {
  const { rows } = await home.database.pool.query(
    `select c.name, c.detail from jsonb_to_recordset(sync.get_system_health() -> 'checks') as c(name text, status text, detail text)
     where c.status <> 'ok' and c.name <> 'query_performance'`,
  )
  return rows
}

test.for(['small', 'lively', 'neighbours'] as const)(
  'demo data of extent %s is whole, and nothing is neglected, before a server has made months',
  async (extent) => {
    const { pool } = home.database
    const deps = { clock: systemClock, random: systemRandom, dimension: 384 }
    expect(await seedDemo(pool, { ...deps, extent })).toMatchObject({ created: true })
    expect(await problems()).toEqual([])
    expect(await marked()).toEqual([])
  },
)

test('rows that wait for their month are a problem once a server should have made it', async () => {
  const { pool } = home.database
  await pool.query('select sync.ensure_epoch(), sync.ensure_partitions(1)')
  const arrived = (receivedHoursAgo: number): Promise<unknown> =>
    pool.query(
      `insert into events (source, type, occurred_at, created_at) values ('s', 't', now() - interval '5 months', now() - make_interval(hours => $1))`,
      [receivedHoursAgo],
    )
  await arrived(1)
  await arrived(30)
  expect(await problems()).toEqual([])
  await pool.query('select sync.mark_canary()')
  expect(await problems()).toEqual([{ lookedAt: 'default partition', table: 'events', problems: 1, example: null }])
  expect(await marked()).toMatchObject([{ name: 'default_partitions' }])
  await pool.query('select sync.ensure_partitions(1)')
  expect(await problems()).toEqual([])
  expect(await marked()).toEqual([])
})
