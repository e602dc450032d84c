import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { expect, test, vi } from 'vitest'
import { systemRandom } from '../../lib/random.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { openDatabase } from '../../server/db/db.ts'
import { applyRetention, ensurePartitions, startMaintenance } from '../../server/maintenance/maintenance.ts'
import { silentLog, Troubles } from '../../server/telemetry/telemetry.ts'
import { createWorld, insert } from '../migrations/rows.ts'
import { createTestDatabase } from '../support/database.ts'
import { ManualClock } from '../support/manual-clock.ts'

const cli = fileURLToPath(new URL('../../server/cli/tidewire.js', import.meta.url))

/** What a process that was killed has still running, and the lock of its job. */
const leftoversSql = `
select pid from pg_stat_activity where datname = current_database() and state = 'active' and query like 'with gone as %'
union all select pid from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database()
where locktype = 'advisory' and classid = 7164902 and objid = 4`

const options = (pool: pg.Pool) => ({
  pool,
  catalog: loadCatalog(),
  archiveDir: '/nonexistent',
})

test('of several servers one deletes, and the others leave it at that', async () => {
  await using db = await createTestDatabase({ kind: 'postgres' })
  await db.database.migrate()
  const { pool } = db.database
  await pool.query(
    `insert into error_logs (code, category, message, occurred_at) select 500, 'test', 'm', now() - interval '100 days' from generate_series(1, 20000)`,
  )
  const reports = await Promise.all([1, 2, 3].map(() => applyRetention(options(pool))))
  expect(reports.map(({ status }) => status).toSorted()).toEqual(['completed', 'skipped', 'skipped'])
  expect(reports.find(({ status }) => status === 'completed')?.tables).toEqual({ error_logs: 20_000 })
  expect((await pool.query('select sum(count)::int as n from error_log_summaries')).rows).toEqual([{ n: 20_000 }])
})

test('who adds to a log waits for no reader of a month that is to go: its rows go, and the month the next time', async () => {
  await using db = await createTestDatabase({ kind: 'postgres' })
  await db.database.migrate()
  const { pool } = db.database
  const { organization } = await createWorld(pool)
  const addAudit = (days: number) =>
    insert(pool, 'tool_audit_logs', {
      ...{ organization_id: organization, tool_name: 't', operation: 'use', allowed: true },
      occurred_at: new Date(Date.now() - days * 86_400_000),
    })
  await addAudit(800)
  await pool.query(
    `insert into error_logs (code, category, message, occurred_at) values (500, 'test', 'm', now() - interval '400 days')`,
  )
  await pool.query('select sync.ensure_partitions(1)')
  const months = async (): Promise<unknown> =>
    (
      await pool.query(
        `select count(*)::integer as count from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent in ('tool_audit_logs'::regclass, 'error_logs'::regclass) and c.relname ~ '_y[0-9]{4}m[0-9]{2}$'`,
      )
    ).rows[0].count
  const before = Number(await months())
  const reader = await pool.connect()
  await reader.query('begin; select from tool_audit_logs; select from error_logs')
  let running = true
  const retention = applyRetention(options(pool)).finally(() => (running = false))
  let added = 0
  while (running) await addAudit(0).then(() => added++)
  expect(await retention).toMatchObject({ status: 'completed', tables: { tool_audit_logs: 1, error_logs: 1 } })
  expect(await months()).toBe(before)
  await reader.query('commit')
  reader.release()
  await applyRetention(options(pool))
  expect(await months()).toBe(before - 2)
  expect((await pool.query('select count(*)::integer as count from tool_audit_logs')).rows).toEqual([{ count: added }])
})

test('at 02:00 of each night one of three servers does it, two of which come at once and one late', async () => {
  await using db = await createTestDatabase({ kind: 'postgres' })
  const { pool } = db.database
  // The days of this test pass in moments: months that are made while the integrity check reads would meet it in a
  // deadlock.
  await ensurePartitions({ pool, monthsAhead: 3 })
  await using open = new AsyncDisposableStack()
  const today = new Date()
  const beforeTwo = new Date(today.getFullYear(), today.getMonth(), today.getDate(), 1, 59, 59, 999)
  const startServer = async () => {
    const database = open.adopt(await openDatabase({ database: db.config }, { mode: 'either' }), (one) => one.close())
    const clock = new ManualClock(beforeTwo.getTime())
    const maintenance = startMaintenance({
      database,
      catalog: loadCatalog(),
      archiveDir: '/nonexistent',
      troubles: new Troubles(clock, silentLog),
      clock,
      random: systemRandom,
      log: silentLog,
      onCanary: () => undefined,
    })
    open.defer(() => maintenance.stop())
    return clock
  }
  const [first, second, third] = [await startServer(), await startServer(), await startServer()]
  const retention = async (): Promise<unknown> =>
    (
      await pool.query(
        `select status, rows_affected::int as rows, triggered_by as by from maintenance_runs where kind = 'retention'`,
      )
    ).rows
  const hour = 60 * 60_000
  async function strikeTwo(clocks: readonly ManualClock[]): Promise<void> {
    await Promise.all(clocks.map((clock) => clock.advance(1)))
    await vi.waitFor(async () => expect(await retention()).toMatchObject([{ status: 'completed' }]), {
      timeout: 60_000,
    })
  }
  const old = `insert into error_logs (code, category, message, occurred_at)
    select 500, 'test', 'm', $1::timestamptz - interval '100 days' from generate_series(1, 300)`
  for (const [night, early, late] of [
    [0, [first, second], third],
    [1, [third, first], second],
  ] as const) {
    // The days of the database do not pass with those of the servers.
    await pool.query('delete from maintenance_runs')
    await pool.query(old, [beforeTwo])
    expect(await retention(), `before 02:00 of night ${night}`).toEqual([])
    await strikeTwo(early)
    await late.advance(1)
    // To the end of the night's jobs, which are done once as well.
    for (const clock of [first, second, third]) await clock.advance(2 * hour)
    await vi.waitFor(
      async () => {
        const { rows } = await pool.query(
          `select kind, count(*)::int as runs from maintenance_runs where kind in ('memory_decay', 'integrity_check') and status = 'completed' group by 1 order by 1`,
        )
        expect(rows).toEqual([
          { kind: 'integrity_check', runs: 1 },
          { kind: 'memory_decay', runs: 1 },
        ])
      },
      { timeout: 60_000 },
    )
    expect(await retention()).toEqual([{ status: 'completed', rows: 300, by: 'schedule' }])
    for (const clock of [first, second, third]) await clock.advance(22 * hour - 1)
  }
  expect((await pool.query('select sum(count)::int as n from error_log_summaries')).rows).toEqual([{ n: 600 }])
}, 180_000)

test('of a job that is killed in mid-batch, again and again, every deleted row is counted once', async () => {
  await using db = await createTestDatabase({ kind: 'postgres' })
  await db.database.migrate()
  const { pool } = db.database
  await pool.query(`update retention_policies set batch_size = 100 where name = 'error_log'`)
  // Three days, so that a batch adds to more than one summary.
  await pool.query(
    `insert into error_logs (code, category, message, occurred_at, is_recoverable)
     select 500, 'test', 'm', date_trunc('day', now()) - interval '100 days' + n * interval '4 minutes', n % 3 = 0 from generate_series(0, 999) n`,
  )
  const figures = async () => {
    const { rows } = await pool.query<{ left: number; counted: number; unrecoverable: number; lost: number }>(
      `select (select count(*)::int from error_logs) as left,
         (select coalesce(sum(count), 0)::int from error_log_summaries) as counted,
         (select count(*)::int from error_logs where not is_recoverable) as lost,
         (select coalesce(sum(unrecoverable_count), 0)::int from error_log_summaries) as unrecoverable`,
    )
    const [row = { left: 0, counted: 0, unrecoverable: 0, lost: 0 }] = rows
    return { left: row.left, total: row.left + row.counted, unrecoverable: row.lost + row.unrecoverable }
  }
  const whole = await figures()
  expect(whole).toEqual({ left: 1000, total: 1000, unrecoverable: 666 })

  /** The server processes of the statement that is in the middle of its batch, held up by a lock. */
  const midBatch = () =>
    vi.waitFor(
      async () => {
        const { rows } = await pool.query<{ pid: number }>(
          `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like 'with gone as (delete from "error_logs"%'`,
        )
        expect(rows).toHaveLength(1)
        return rows.map(({ pid }) => pid)
      },
      { timeout: 60_000, interval: 20 },
    )
  /** Holds up the batch after next: at the row in its middle, or, with all its rows deleted, where it sums up. */
  async function heldUp(where: 'deleting' | 'summing', work: () => Promise<void>): Promise<void> {
    const client = await pool.connect()
    try {
      await client.query('begin')
      const lock =
        where === 'deleting'
          ? 'select from error_logs where id = (select id from error_logs order by occurred_at offset 150 limit 1) for update'
          : 'select from error_log_summaries for update'
      expect((await client.query(lock)).rowCount).toBeGreaterThan(0)
      await work()
    } finally {
      await client.query('rollback')
      client.release()
    }
  }

  const left: number[] = []
  // The connection is lost, of a server that lives on.
  for (const where of ['deleting', 'summing', 'summing', 'deleting'] as const) {
    await heldUp(where, async () => {
      const run = applyRetention(options(pool))
      await pool.query('select pg_terminate_backend(pid, 10000) from unnest($1::int[]) pid', [await midBatch()])
      expect((await run).status).toBe('failed')
    })
    const now = await figures()
    expect(now).toEqual({ ...whole, left: now.left })
    left.push(now.left)
  }
  // The process is killed; Postgres may find out only when the statement is done.
  for (const where of ['deleting', 'summing'] as const) {
    await heldUp(where, async () => {
      // In one process: without the condition the launcher hands over to another.
      const child = spawn(process.execPath, ['--conditions=tidewire:source', cli, 'retention'], {
        env: { ...process.env, DATABASE_URL: db.url ?? '', AUTH_SECRET: 'a-secret-of-this-test-and-of-nothing-else' },
        stdio: 'ignore',
      })
      const gone = once(child, 'exit')
      await midBatch()
      child.kill('SIGKILL')
      await gone
    })
    await vi.waitFor(async () => expect((await pool.query(leftoversSql)).rows).toEqual([]), { timeout: 60_000 })
    const now = await figures()
    expect(now).toEqual({ ...whole, left: now.left })
    left.push(now.left)
  }
  expect(left.at(-1)).toBeGreaterThan(0)
  expect(left[0]).toBeLessThan(1000)
  expect((await applyRetention(options(pool))).status).toBe('completed')
  expect(await figures()).toEqual({ ...whole, left: 0 })
}, 180_000)
