import type pg from 'pg'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { createWorld } from './rows.ts'
import { describePartitions } from './partitions-contract.ts'

describePartitions('postgres')

test('those who write to a log while its first months are made are refused nothing, and are in them', async () => {
  await using db = await createTestDatabase({ kind: 'postgres' })
  const { pool } = db.database
  const { organization } = await createWorld(pool)
  const fail = (on: pg.Pool | pg.ClientBase) =>
    on.query(`insert into error_logs (organization_id, code, category, message) values ($1, 500, 'test', 'm')`, [
      organization,
    ])
  const waiting = `select from pg_locks where database = (select oid from pg_database where datname = current_database()) and not granted`
  const waits = async (count: number): Promise<void> => {
    await expect.poll(async () => (await pool.query(waiting)).rowCount, { timeout: 60_000, interval: 10 }).toBe(count)
  }
  const before = await pool.connect()
  try {
    await before.query('begin')
    await fail(before)
    const making = pool.query('select sync.ensure_partitions(0) as made')
    await waits(1)
    const beside = fail(pool)
    await waits(2)
    await before.query('commit')
    expect((await making).rows).toEqual([{ made: 10 }])
    await beside
  } finally {
    before.release()
  }
  const homes = `select count(*)::int as n, count(*) filter (where tableoid = 'sync.error_logs_default'::regclass)::int as left_over from error_logs`
  expect((await pool.query(homes)).rows).toEqual([{ n: 2, left_over: 0 }])
})
