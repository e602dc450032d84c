import { expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { applyRetention } from '../../server/maintenance/maintenance.ts'
import { createTestDatabase } from '../support/database.ts'
import { ManualClock } from '../support/manual-clock.ts'

test('of several servers one deletes, and the others leave it at that', async () => {
  await using db = await createTestDatabase({ kind: 'postgres' })
  await db.database.migrate()
  const { pool } = db.database
  await pool.query(
    `insert into error_logs (code, category, message, occurred_at) select 500, 'test', 'm', now() - interval '100 days' from generate_series(1, 20000)`,
  )
  const options = { pool, catalog: loadCatalog(), clock: new ManualClock(Date.now()), archiveDir: '/nonexistent' }
  const reports = await Promise.all([applyRetention(options), applyRetention(options), applyRetention(options)])
  expect(reports.map(({ status }) => status).toSorted()).toEqual(['completed', 'skipped', 'skipped'])
  expect(reports.find(({ status }) => status === 'completed')?.tables).toEqual({ error_logs: 20_000 })
  expect((await pool.query('select sum(count)::int as n from error_log_summaries')).rows).toEqual([{ n: 20_000 }])
})
