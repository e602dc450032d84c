import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { allColumns, isLog, toDdl } from '../support/schema-ddl.ts'
import { readSchemaPage } from '../support/schema-notation.ts'

const page = readSchemaPage()

/** What a schema of the database has, as lines of text by table. */
type Facts = ReadonlyMap<string, readonly string[]>

const relations = `
  select c.oid, c.relname from pg_class c
  where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'mikro_orm_migrations'`

async function facts(pool: Pool, schema: string, query: string): Promise<Facts> {
  const { rows } = await pool.query<{ table: string; facts: readonly string[] }>(
    `with relations as (${relations}) ${query}`,
    [schema],
  )
  return new Map(rows.map(({ table, facts: lines }) => [table, lines.toSorted()]))
}

const columns = `
  select r.relname as table, array_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end,
    case a.attgenerated when 's' then 'generated' else 'default' end || ' ' || pg_get_expr(d.adbin, d.adrelid))) as facts
  from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum group by 1`

const checks = `
  select r.relname as table, array_agg(pg_get_constraintdef(k.oid)) as facts
  from relations r join pg_constraint k on k.conrelid = r.oid and k.contype = 'c' group by 1`

const indexes = `
  select r.relname as table, array_agg(
    case when i.indisprimary then 'primary ' when i.indisunique then 'unique ' else '' end
    || regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '')) as facts
  from relations r join pg_index i on i.indrelid = r.oid group by 1`

/** The page against a migrated database, both ways. */
export function describeSchemaPage(kind: 'embedded' | 'postgres'): void {
  describe(`docs/schema.md and a migrated database, ${kind}`, () => {
    let db: TestDatabase
    let pool: Pool
    beforeAll(async () => {
      db = await createTestDatabase({ kind })
      pool = db.database.pool
      await pool.query(
        ['create schema documented', ...page.tables.flatMap((table) => toDdl(table, 'documented'))].join(';\n'),
      )
    })
    afterAll(() => db.close())

    test.each([
      ['columns, with type, NOT NULL, default and generation', columns],
      ['CHECKs', checks],
      ['primary keys, unique keys and indexes', indexes],
    ])('have the same %s', async (_, query) => {
      const [documented, migrated] = [await facts(pool, 'documented', query), await facts(pool, 'public', query)]
      expect([...migrated.keys()].toSorted()).toEqual([...documented.keys()].toSorted())
      for (const [table, lines] of migrated)
        expect.soft({ table, lines }).toEqual({ table, lines: documented.get(table) })
    })

    test('have the same foreign keys, with their delete rules', async () => {
      const rules = { cascade: 'c', 'set null': 'n', restrict: 'r' }
      const documented = page.tables.flatMap((table) =>
        allColumns(table).flatMap(({ name, references }) =>
          references ? [`${table.name}.${name} -> ${references.table} ${rules[references.onDelete]}`] : [],
        ),
      )
      const { rows } = await pool.query<{ key: string }>(`
        select format('%s.%s -> %s %s', k.conrelid::regclass, a.attname, k.confrelid::regclass, k.confdeltype) as key
        from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
        where k.contype = 'f' and c.relnamespace = 'public'::regnamespace and not c.relispartition`)
      expect(rows.map(({ key }) => key).toSorted()).toEqual(documented.toSorted())
    })

    test('partition the same tables by month, each with a default partition', async () => {
      const { rows } = await pool.query<{ line: string }>(`
        select format('%s %s %s', c.relname, pg_get_partkeydef(c.oid), d.relname) as line
        from pg_partitioned_table p join pg_class c on c.oid = p.partrelid left join pg_class d on d.oid = p.partdefid
        where c.relnamespace = 'public'::regnamespace order by 1`)
      const logs = page.tables.filter(isLog).map(({ name }) => `${name} RANGE (occurred_at) ${name}_default`)
      expect(rows.map(({ line }) => line)).toEqual(logs.toSorted())
    })

    test('have the same views, with their columns, kind and key', async () => {
      const { rows } = await pool.query(`
        select c.relname as name,
          case when c.relkind = 'm' then 'materialized' when 'security_invoker=true' = any (c.reloptions) then 'invoker' when 'security_barrier=true' = any (c.reloptions) then 'barrier' end as kind,
          array(select attname::text from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped order by attnum) as columns,
          (select array_agg(a.attname::text order by k.place) from pg_index i cross join lateral unnest(i.indkey) with ordinality k(number, place)
            join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number where i.indrelid = c.oid and i.indisunique) as key
        from pg_class c where c.relkind in ('v', 'm') and c.relnamespace in ('public'::regnamespace, 'sync'::regnamespace) order by 1`)
      const documented = page.views.map((view) => ({ ...view, key: view.key ?? null }))
      expect(rows).toEqual(documented.toSorted((one, other) => (one.name < other.name ? -1 : 1)))
      expect(documented.filter(({ kind }) => kind === 'materialized')).toHaveLength(7)
      expect(documented.filter(({ kind }) => kind !== 'materialized')).toHaveLength(19)
    })

    test('show every synced table in v_row_sync_status', async () => {
      const { rows } = await pool.query<{ name: string }>(`
        select distinct refobjid::regclass::text as name from pg_depend
        where classid = 'pg_rewrite'::regclass and refclassid = 'pg_class'::regclass
          and objid in (select oid from pg_rewrite where ev_class = 'v_row_sync_status'::regclass) and refobjid <> 'v_row_sync_status'::regclass`)
      const synced = page.tables.filter(({ mixins }) =>
        mixins.some((mixin) => ['S', 'S0', 'R', 'R0', 'T'].includes(mixin)),
      )
      expect(rows.map(({ name }) => name).toSorted()).toEqual(synced.map(({ name }) => name).toSorted())
    })

    test.each(page.functions)('have %s', async (signature) => {
      const { rows } = await pool.query('select to_regprocedure($1) is not null as there', [signature])
      expect(rows).toEqual([{ there: true }])
    })

    test('name the CHECK of a column after it', async () => {
      const { rows } = await pool.query(`
        select conname from pg_constraint k join pg_class c on c.oid = k.conrelid
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
        where k.contype = 'c' and array_length(k.conkey, 1) = 1 and c.relnamespace = 'public'::regnamespace and not c.relispartition
          and k.conname <> format('%s_%s_check', c.relname, a.attname)`)
      expect(rows).toEqual([])
    })
  })
}
