import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, type World } from './rows.ts'

export function describePartitions(kind: 'embedded' | 'postgres'): void {
  describe(`partitions, ${kind}`, () => {
    let db: TestDatabase
    let world: World
    beforeAll(async () => {
      db = await createTestDatabase({ kind })
      world = await createWorld(db.database.pool)
    })
    afterAll(() => db.close())

    const query = async (text: string, values: readonly unknown[] = []) =>
      (await db.database.pool.query(text, [...values])).rows
    const usage = async (occurredAt: string) =>
      insert(db.database.pool, 'token_usages', {
        organization_id: world.organization,
        occurred_at: occurredAt,
        model: 'm',
        input_tokens: 1,
        output_tokens: 2,
      })
    const homeOf = async (id: string) =>
      (
        await query('select tableoid::regclass::text as home, total_tokens::integer from token_usages where id = $1', [
          id,
        ])
      )[0]

    test('are made for this month and those ahead, once', async () => {
      const [{ months }] = await query(`select to_char(now() at time zone 'UTC', '"y"YYYY"m"MM') as months`)
      expect(await query('select sync.ensure_partitions(2) as made')).toEqual([{ made: 30 }])
      expect(await query('select sync.ensure_partitions(2) as made')).toEqual([{ made: 0 }])
      expect(await query('select to_regclass($1) is not null as there', [`sync.events_${months}`])).toEqual([
        { there: true },
      ])
    })

    test('take the rows of their months from the default partition', async () => {
      const { id } = await usage('2026-03-31T23:59:59.999Z')
      const { id: next } = await usage('2026-04-01T00:00:00.000Z')
      expect(await homeOf(id)).toMatchObject({ home: 'sync.token_usages_default' })
      expect(await query('select sync.ensure_partitions(2) as made')).toEqual([{ made: 2 }])
      expect(await homeOf(id)).toEqual({ home: 'sync.token_usages_y2026m03', total_tokens: 3 })
      expect(await homeOf(next)).toEqual({ home: 'sync.token_usages_y2026m04', total_tokens: 3 })
      expect(await query('select count(*)::integer as left_over from sync.token_usages_default')).toEqual([
        { left_over: 0 },
      ])
    })

    test('have the keys, indexes and foreign keys of their table', async () => {
      const shape = async (relation: string) =>
        query(
          `select regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', '') as line from pg_index where indrelid = $1::regclass
           union all select pg_get_constraintdef(oid) from pg_constraint where conrelid = $1::regclass and contype in ('c', 'f', 'p') order by 1`,
          [relation],
        )
      expect(await shape('sync.token_usages_y2026m03')).toEqual(await shape('public.token_usages'))
      await expect(
        insert(db.database.pool, 'token_usages', {
          organization_id: '01890000-0000-7000-8000-000000000001',
          occurred_at: '2026-03-02',
          model: 'm',
          input_tokens: 1,
          output_tokens: 2,
        }),
      ).rejects.toMatchObject({ code: '23503' })
    })

    test('of months that are over are dropped with their rows, and no others', async () => {
      expect(await query(`select sync.drop_partitions('token_usages', '2026-04-30T23:59:59Z') as dropped`)).toEqual([
        { dropped: 1 },
      ])
      expect(await query('select count(*)::integer as n from token_usages')).toEqual([{ n: 1 }])
      expect(await query(`select sync.drop_partitions('token_usages', '2026-05-01T00:00:00Z') as dropped`)).toEqual([
        { dropped: 1 },
      ])
      expect(await query('select count(*)::integer as n from token_usages')).toEqual([{ n: 0 }])
    })

    test('are all that a query of some days reads', async () => {
      await usage('2026-06-10T00:00:00Z')
      await usage('2026-07-10T00:00:00Z')
      await query('select sync.ensure_partitions(0)')
      const plan = await query(
        `explain (format text) select sum(cost_usd) from token_usages where occurred_at >= '2026-06-05Z' and occurred_at < '2026-06-12Z'`,
      )
      const text = plan.map((row) => row['QUERY PLAN']).join('\n')
      expect(text).toContain('token_usages_y2026m06')
      expect(text).not.toMatch(/y2026m07|default/)
    })

    test('keep rows, constraints, indexes and triggers when a table becomes partitioned, and when it is no more', async () => {
      await query(`create table public.app_logs (
        id uuid not null default sync.uuid_v7(), occurred_at timestamptz(3) not null default now(), organization_id uuid references organizations on delete cascade,
        n integer not null check (n > 0), twice integer generated always as (n * 2) stored, primary key (id, occurred_at))`)
      await query(`create index app_logs_n_idx on public.app_logs (n) where n > 1`)
      await query(
        `create function sync.app_log() returns trigger language plpgsql as $$ begin new.n := new.n + 1; return new; end $$`,
      )
      await query(`create trigger app before insert on public.app_logs for each row execute function sync.app_log()`)
      const shape = async () =>
        query(`
          select regexp_replace(pg_get_indexdef(indexrelid), ' ON (ONLY )?', ' ON ') as line from pg_index where indrelid = 'public.app_logs'::regclass
          union all select conname || pg_get_constraintdef(oid) from pg_constraint where conrelid = 'public.app_logs'::regclass and contype <> 'n'
          union all select pg_get_triggerdef(oid) from pg_trigger where tgrelid = 'public.app_logs'::regclass and not tgisinternal order by 1`)
      await query(`insert into app_logs (n, organization_id) values (1, $1), (2, null)`, [world.organization])
      const [before, rows] = [await shape(), await query('select * from app_logs order by n')]
      await query(`select sync.partition_by_month('app_logs')`)
      expect(await query('select sync.ensure_partitions(0) as made')).toEqual([{ made: 1 }])
      expect(await shape()).toEqual(before)
      expect(await query('select * from app_logs order by n')).toEqual(rows)
      await query(`select sync.rebuild_table('app_logs', '')`)
      expect(await shape()).toEqual(before)
      expect(await query('select * from app_logs order by n')).toEqual(rows)
    })
  })
}
