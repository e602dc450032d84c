import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, type SqlRow } from './rows.ts'

interface Health {
  readonly status: string
  readonly database_modules: Readonly<Record<string, { readonly installed: boolean }>>
  readonly performance_metrics: { readonly query_performance: SqlRow; readonly max_connections: number }
  readonly storage: { readonly missing_partitions: readonly string[] }
  readonly checks: readonly { readonly name: string; readonly status: string }[]
}

export function describeHealth(kind: 'embedded' | 'postgres'): void {
  describe(`the health of a database, ${kind}`, () => {
    let db: TestDatabase
    beforeAll(async () => {
      db = await createTestDatabase({ kind })
      // As a server does when it starts: what was shipped is in the audit log already.
      await query('select sync.ensure_epoch(), sync.ensure_partitions(1)')
    })
    afterAll(() => db.close())

    const query = async (text: string, values: readonly unknown[] = []): Promise<SqlRow[]> =>
      (await db.database.pool.query(text, [...values])).rows
    const health = async (): Promise<Health> => {
      const { rows } = await db.database.pool.query<{ health: Health }>('select sync.get_system_health() as health')
      const [row] = rows
      if (!row) throw new Error('No row.')
      return row.health
    }
    const marked = async (): Promise<unknown> =>
      (await health()).checks.filter(({ status }) => status !== 'ok').map(({ name, status }) => [name, status])
    const statement = (ms: number, calls: number, bound: string) =>
      query(
        `insert into query_statistics (bucket_start, fingerprint, sample_sql, calls, total_ms, max_ms, slow_calls, histogram)
         values (date_trunc('minute', now()), $1, 'select $1', $2, $3, $4, $5, $6)`,
        [`f${ms}`, calls, ms * calls, ms, ms > 200 ? calls : 0, JSON.stringify({ [bound]: calls })],
      )

    test('is good when it is empty: nothing was asked yet, and a probe was measured', async () => {
      const found = await health()
      expect(found.status).toBe('healthy')
      expect(found.performance_metrics.query_performance).toMatchObject({ classification: 'unknown', calls: 0 })
      expect(found.performance_metrics.query_performance['probe_ms']).toBeGreaterThanOrEqual(0)
      expect(found.performance_metrics.max_connections).toBeGreaterThan(1)
      const seven = ['organizations', 'projects', 'tasks', 'pipelines', 'agents', 'integrations', 'analytics']
      for (const module of [...seven, 'memory', 'sync', 'costs'])
        expect(found.database_modules[module]).toMatchObject({ installed: true })
    })

    test('has no check of which docs/operations.md does not say what to do', async () => {
      const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
      const section = page.slice(page.indexOf('| check | marked'), page.indexOf('### Verify'))
      const told = section.split('\n').flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)])
      const names = (await health()).checks.map(({ name }) => name)
      expect(new Set(told.map(([, name]) => name))).toEqual(new Set(names))
    })

    test('is as good as its statements are quick', async () => {
      const performance = async () => (await health()).performance_metrics.query_performance
      await statement(2, 990, '2')
      expect(await performance()).toMatchObject({ classification: 'optimal', calls: 990, p95_ms: 2 })
      await statement(1500, 100, '2000')
      expect(await performance()).toMatchObject({ classification: 'degraded', p95_ms: 1500, slow_calls: 100 })
      expect(await marked()).toEqual([['query_performance', 'warning']])
      await query(`delete from query_statistics where fingerprint = 'f2'`)
      expect(await performance()).toMatchObject({ classification: 'critical', avg_ms: 1500 })
      expect(await health()).toMatchObject({ status: 'unhealthy' })
      await query(`update query_statistics set bucket_start = now() - interval '10 minutes'`)
      expect(await performance()).toMatchObject({ classification: 'unknown' })
    })

    test('misses a month, and sees rows that wait for one', async () => {
      await query('select sync.ensure_partitions(1)')
      expect(await marked()).toEqual([])
      const [{ next } = {}] = await query(
        `select to_char(now() at time zone 'UTC' + interval '1 month', '"events_y"YYYY"m"MM') as next`,
      )
      await query(`drop table sync.${String(next)}`)
      expect(await health()).toMatchObject({ status: 'degraded', storage: { missing_partitions: [next] } })
      await query('select sync.ensure_partitions(1)')
      await query(
        `insert into events (source, type, occurred_at, created_at) values ('s', 't', now() - interval '5 months', now() - interval '26 hours')`,
      )
      await query('select sync.mark_canary()')
      expect(await marked()).toEqual([['default_partitions', 'warning']])
      await query('select sync.ensure_partitions(1)')
      expect(await health()).toMatchObject({ status: 'healthy' })
    })

    test('warns of upkeep that was begun and is overdue, and of none that never was', async () => {
      const backup = (kindOfRun: string, age: string, status = 'completed') =>
        query(
          `insert into backup_runs (kind, status, started_at, finished_at) values ($1, $2, now() - $3::interval, now() - $3::interval)`,
          [kindOfRun, status, age],
        )
      await backup('full', '25 hours')
      expect(await marked()).toEqual([])
      await query(
        `update backup_runs set started_at = now() - interval '27 hours', finished_at = now() - interval '27 hours'`,
      )
      expect(await marked()).toEqual([['backup', 'warning']])
      await backup('full', '1 hour', 'failed')
      expect(await marked()).toEqual([['backup', 'warning']])
      await backup('full', '1 hour')
      await backup('full', '36 days')
      expect(await marked()).toEqual([['restore_test', 'warning']])
      await backup('restore_test', '34 days')
      expect(await marked()).toEqual([])
      await query(
        `insert into maintenance_runs (kind, status, started_at, finished_at) values ('analytics', 'failed', now() - interval '2 hours', now())`,
      )
      expect(await marked()).toEqual([['analytics', 'warning']])
      expect(await health()).toMatchObject({ status: 'degraded' })
      await query('delete from maintenance_runs')
    })

    test('knows references to nothing, wrong counters and rows without a month', async () => {
      const world = await createWorld(db.database.pool)
      const inOrganization = { organization_id: world.organization }
      const problems = () =>
        query('select looked_at, table_name, problems::int, example from sync.check_integrity() where problems > 0')
      expect(await problems()).toEqual([])
      const task = await insert(db.database.pool, 'tasks', { ...inOrganization, project_id: world.project, title: 'T' })
      const about = (subject: string) =>
        insert(db.database.pool, 'feedback_loops', { ...inOrganization, subject_type: 'task', subject_id: subject })
      await about(task.id)
      const orphan = await about(world.user)
      const conversation = await insert(db.database.pool, 'conversations', {
        ...inOrganization,
        scope: 'project',
        project_id: world.project,
      })
      await query('update conversations set message_count = 7 where id = $1', [conversation.id])
      expect(await problems()).toEqual([
        { looked_at: 'references', table_name: 'feedback_loops', problems: 1, example: orphan.id },
        { looked_at: 'counters', table_name: 'conversations', problems: 1, example: conversation.id },
      ])
      await query('update feedback_loops set subject_id = $1, applied_to_type = $2, applied_to_id = $3 where id = $4', [
        task.id,
        'memory',
        world.user,
        orphan.id,
      ])
      await query('update conversations set message_count = 1 where id = $1', [conversation.id])
      const message = {
        ...inOrganization,
        conversation_id: conversation.id,
        role: 'user',
        content: 'c',
        input_tokens: 5,
      }
      await insert(db.database.pool, 'messages', message)
      await query('update conversations set message_count = 1, total_tokens = 4 where id = $1', [conversation.id])
      await insert(db.database.pool, 'tasks', {
        ...inOrganization,
        project_id: world.project,
        title: 'C',
        parent_task_id: task.id,
        progress_percentage: 30,
      })
      await query('update tasks set progress_percentage = 90 where id = $1', [task.id])
      expect(await query('select progress_percentage::int as progress from tasks where id = $1', [task.id])).toEqual([
        { progress: 30 },
      ])
      expect((await problems()).map(({ table_name: name }) => name)).toEqual([
        'feedback_loops',
        'conversations (tokens and cost)',
      ])
    })
  })
}
