import pg from 'pg'
import { loadCatalog, type CatalogTable } from '../../server/catalog/catalog.ts'
import { tableSpec } from '../../server/entities/define.ts'
import { withIndexesAfterwards } from './bulk.ts'

type Client = Pick<pg.ClientBase, 'query'>

/** Tables of which there is but one row, or whose rows the release ships. */
const unfilled = new Set(['sync_heads'])

/** What most rows have where that is not the default. */
const usualValues: Readonly<Record<string, string>> = { embedding_status: 'ready' }

export interface FillOptions {
  /** Rows of tables with inverted lists or graphs over vectors, which pay off later than trees. */
  readonly rowsWithLists?: number
}

const tablesWithLists = `
select distinct x.indrelid::regclass::text as name
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_am m on m.oid = i.relam
where m.amname in ('gin', 'hnsw')`

/**
 * Fills every table of a database that is used for nothing else with `rows` synthetic rows: no rule holds there any
 * more, only what the planner looks at is as it would be. Columns with a list of values, and flags, have their usual
 * value nearly everywhere, times are spread over 60 days, everything else differs from row to row.
 */
export async function fillEveryTable(
  on: Client,
  rows: number,
  progress: (line: string) => void,
  { rowsWithLists = rows }: FillOptions = {},
): Promise<void> {
  await liftRules(on)
  // The same rows in every run.
  await on.query('select setseed(0.5)')
  const { rows: withLists } = await on.query<{ name: string }>(tablesWithLists)
  const more = new Set(withLists.map(({ name }) => name))
  const tables = [...loadCatalog().byName.values()].filter(({ name }) => !unfilled.has(name))
  const { rows: logs } = await on.query<{ name: string }>(partitionedTables)
  const partitioned = new Set(logs.map(({ name }) => name))
  // A few rows in each month make its partition, so that the others are put there at once.
  for (const table of tables.filter(({ name }) => partitioned.has(name))) await on.query(fillSql(table), [100])
  await on.query('select sync.ensure_partitions(1)')
  const fill = async (): Promise<void> => {
    for (const [index, table] of tables.entries()) {
      await on.query(fillSql(table), [more.has(table.name) ? rowsWithLists : rows])
      if ((index + 1) % 20 === 0) progress(`  ${index + 1} of ${tables.length} tables`)
    }
  }
  await withIndexesAfterwards(
    on,
    tables.map(({ name }) => name),
    fill,
    progress,
  )
  await on.query('analyze')
}

const partitionedTables = `select partrelid::regclass::text as name from pg_partitioned_table`

async function liftRules(on: Client): Promise<void> {
  await on.query(`do $$ declare one record; begin
    for one in select conrelid::regclass as place, conname as name from pg_constraint
      where contype in ('c', 'f') and connamespace = 'public'::regnamespace and conparentid = 0
    loop
      execute format('alter table %s drop constraint if exists %I', one.place, one.name);
    end loop;
    for one in select c.oid::regclass as place from pg_class c
      where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = 'public'::regnamespace
    loop
      execute format('alter table %s disable trigger user', one.place);
    end loop;
  end $$`)
}

function fillSql(table: CatalogTable): string {
  const spec = tableSpec(table.name)
  const columns = table.sqlColumns.filter(({ generated }) => !generated)
  const values = columns.map(({ name, property, sqlType, nullable }) => {
    const { values: list, default: usual } = spec.columns[property]?.spec ?? {}
    if (list)
      return rarely(
        name,
        `(array['${list.join("','")}'])[1 + (i / 50) % ${list.length}]`,
        `'${usualValues[name] ?? String(usual ?? list.at(-1))}'`,
      )
    if (sqlType === 'boolean') return rarely(name, String(usual !== true), String(usual === true))
    const value = valueOf(sqlType, name)
    if (name === 'deleted_at') return rarely(name, value, 'null')
    if (table.name === 'token_usages' && name === 'cost_usd') return rarely(name, 'null', value)
    // A graph over vectors takes far longer to build than all the rest, and less of it says as much.
    if (sqlType.startsWith('vector'))
      return `case when i % 8 = 0 then ${value} ${nullable ? '' : `else '[${'0,'.repeat(383)}1]'::vector `}end`
    const isOften = !nullable || !(name.endsWith('_at') || sqlType === 'uuid')
    return isOften ? value : `case when hashtext('${name}' || i) % 2 = 0 then ${value} end`
  })
  const names = columns.map(({ name }) => pg.escapeIdentifier(name)).join(', ')
  return `insert into ${pg.escapeIdentifier(table.name)} (${names}) select ${values.join(', ')} from generate_series(1, $1::int) i on conflict do nothing`
}

/** One row in fifty has `rare`. */
function rarely(name: string, rare: string, usual: string): string {
  return `case when hashtext('${name} is rare' || i) % 50 = 0 then ${rare} else ${usual} end`
}

function valueOf(sqlType: string, name: string): string {
  if (sqlType.startsWith('vector')) return vectorSql(Number(/\d+/.exec(sqlType)?.[0]))
  if (sqlType.startsWith('timestamptz')) return `now() - random() * interval '60 days'`
  switch (sqlType.replace(/\(.*/, '')) {
    case 'uuid':
      return 'gen_random_uuid()'
    case 'text':
      return name === 'channel' ? `'channel/' || (i / 4)` : `md5(i::text) || ' ' || md5('${name}' || i)`
    case 'int':
    case 'bigint':
    case 'smallint':
      return sqlType === 'smallint' ? '(i % 1000)' : 'i'
    case 'numeric':
    case 'double precision':
      return 'round(random()::numeric, 2)'
    case 'date':
      return 'current_date - i'
    case 'interval':
      return `interval '1 second'`
    case 'jsonb':
      return `jsonb_build_object('key', md5(i::text))`
    case 'text[]':
      return 'array[md5(i::text)]'
    case 'bytea':
      return `decode(md5(i::text), 'hex')`
    case 'inet':
      return `inet '127.0.0.1'`
    case 'xid8':
      return 'pg_current_xact_id()'
    default:
      throw new Error(`No value of ${sqlType}.`)
  }
}

/** A random vector for each row `i`. */
export function vectorSql(dimension: number): string {
  return `(select array_agg(random() - 0.5) from generate_series(1, ${dimension}) where i > 0)::vector`
}
