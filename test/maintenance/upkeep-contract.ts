import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { openDatabase, type Database } from '../../server/db/db.ts'
import {
  checkIntegrity,
  refreshAnalytics,
  reportStatements,
  startMaintenance,
} from '../../server/maintenance/maintenance.ts'
import { QueryStatistics, statisticsIntervalMs } from '../../server/maintenance/query-statistics.ts'
import { silentLog, StatementLog, Troubles } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { ManualClock } from '../support/manual-clock.ts'

/** What a server does beside its work, on either kind of database. */
export function describeUpkeep(kind: 'embedded' | 'postgres'): void {
  describe(`upkeep, ${kind}`, () => {
    let db: TestDatabase
    let database: Database
    const statements = new StatementLog(systemClock, 200)
    beforeAll(async () => {
      db = await createTestDatabase({ kind })
      database = await openDatabase({ database: db.config }, { mode: 'either', statements })
    })
    afterAll(async () => {
      await database.close()
      await db.close()
    })
    const query = async (text: string, values: readonly unknown[] = []): Promise<unknown[]> =>
      (await database.pool.query(text, [...values])).rows

    test('names a slow statement, without its values, with its plan, and adds up what comes later', async () => {
      await query('create table idle_things (n integer); create index on idle_things (n)')
      const statistics = new QueryStatistics(database.pool, () => Date.now())
      const slow = `select name, pg_sleep(0.25) from projects right join (values ('Jekyll')) v(secret) on name = secret limit 3`
      await query(slow)
      await expect(query(`select * from nowhere where secret = 'Hyde'`)).rejects.toThrow('nowhere')
      await query(`insert into system_settings (key, value) values ('test.setting', to_jsonb($1::text))`, ['x'])
      await statistics.write(statements.take())
      await query(slow.replace('Jekyll', 'Utterson'))
      await statistics.write(statements.take())
      const { slowest, tables, unusedIndexes } = await reportStatements(database.pool, { seconds: 120, limit: 500 })
      // What else is slow is the machine's to say.
      const longest = slowest.map(({ maxMs }) => maxMs)
      expect(longest).toEqual(longest.toSorted((a, b) => b - a))
      const statement =
        'select name, pg_sleep($1) from projects right join (values ($2)) v(secret) on name = secret limit $3'
      const worst = slowest.find((one) => one.statement === statement)
      expect(worst).toMatchObject({
        calls: 2,
        slow: 2,
        errors: 0,
      })
      expect(worst?.averageMs).toBeGreaterThan(240)
      expect(worst?.p95Ms).toBeGreaterThan(240)
      expect(JSON.stringify(worst?.plan)).toMatch(/"Plan".*"Node Type"/)
      const failed = slowest.find((one) => one.statement.includes('nowhere'))
      expect(failed).toMatchObject({
        statement: 'select * from nowhere where secret = $1',
        calls: 1,
        errors: 1,
        plan: null,
      })
      expect(JSON.stringify(await query('select * from query_statistics'))).not.toMatch(/Jekyll|Hyde|Utterson/)
      expect(tables.map(({ table }) => table)).toContain('tasks')
      expect(unusedIndexes.map(({ index }) => index)).toContain('idle_things_n_idx')
    })

    test('writes statements and vitals down by itself', async () => {
      const clock = new ManualClock(Date.now())
      expect(statisticsIntervalMs).toBeLessThan(60_000)
      let asked = 0
      const maintenance = startMaintenance({
        database,
        catalog: loadCatalog(),
        archiveDir: '/nonexistent',
        troubles: new Troubles(clock, silentLog),
        clock,
        random: systemRandom,
        log: silentLog,
        onCanary: () => undefined,
        vitals: () =>
          Promise.resolve({
            node: `n${++asked}`,
            ready: true,
            poolUsed: 1,
            connections: 2,
            pushMs: null,
            feedLagMs: 3.5,
            openConflicts: 0,
          }),
        statements: () => statements.take(),
      })
      await query('select pg_sleep(0.21), 7')
      // Stopping waits for the rounds that have begun.
      await clock.advance(60_000)
      await maintenance.stop()
      const { slowest } = await reportStatements(database.pool, { seconds: 120, limit: 500 })
      expect(slowest.find(({ statement }) => statement === 'select pg_sleep($1), $2')).toMatchObject({ slow: 1 })
      const vitals = await query(
        `select metric_name, value, labels->>'node' as node from system_metrics where labels->>'node' = 'n1' order by 1`,
      )
      expect(vitals).toEqual(
        [
          ['db.pool.used', 1],
          ['server.up', 1],
          ['sync.conflicts', 0],
          ['sync.connections', 2],
          ['sync.feed_lag_ms', 3.5],
          ['tasks.claimed', 0],
        ].map(([name, value]) => ({ metric_name: name, value, node: 'n1' })),
      )
      expect(await query(`select status from maintenance_runs where kind = 'partitions'`)).toEqual([
        { status: 'completed' },
      ])
    })

    test('records a refresh and a check, and what a process left behind when it ended', async () => {
      await query(`delete from maintenance_runs`)
      await query(`insert into maintenance_runs (kind) values ('analytics')`)
      const views = await refreshAnalytics(database.pool, { only: ['cost_daily'], triggeredBy: 'test' })
      expect(views).toEqual([{ name: 'mv_cost_daily', rows: 0, ms: expect.any(Number) as number }])
      expect(await checkIntegrity(database.pool)).toHaveLength(24)
      expect(
        await query('select kind, status, triggered_by, error_message from maintenance_runs order by started_at'),
      ).toEqual([
        {
          kind: 'analytics',
          status: 'failed',
          triggered_by: 'schedule',
          error_message: 'The process ended before it did.',
        },
        { kind: 'analytics', status: 'completed', triggered_by: 'test', error_message: null },
        { kind: 'integrity_check', status: 'completed', triggered_by: 'schedule', error_message: null },
      ])
      await expect(refreshAnalytics(database.pool, { only: ['mv_nothing'] })).rejects.toMatchObject({
        code: 'invalid_value',
      })
    })
  })
}
