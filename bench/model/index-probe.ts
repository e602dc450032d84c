import pg from 'pg'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { vectorSql } from './fill.ts'

type Client = Pick<pg.ClientBase, 'query'>

/** How an index stands by a query that it is for. */
export interface ProbedIndex {
  readonly table: string
  readonly name: string
  /** btree, gin or hnsw. */
  readonly method: string
  readonly statement: string
  /** Whether the plan takes it when it is the table's only one. */
  readonly isTaken: boolean
  /** What the plan takes when all are there: another one may fit the values even better. */
  readonly preferred: string | undefined
  /** How many times cheaper the plan is than without indexes, in the planner's own cost. */
  readonly times: number
}

interface IndexRow {
  readonly table: string
  readonly name: string
  readonly method: string
  readonly columns: readonly string[]
  readonly types: readonly string[]
  readonly condition: string | null
  readonly operators: string
}

/**
 * Asks for every index of the model, primary keys apart, what Postgres does with a query that it was made for: equality
 * in its columns, a range in the last one when that is a time, containment, similarity, or nearness.
 */
export async function probeIndexes(on: Client): Promise<readonly ProbedIndex[]> {
  const { rows: indexes } = await on.query<IndexRow>(indexesSql, [
    [...loadCatalog().byName.keys()].filter((name) => name !== 'sync_heads'),
  ])
  const parents = new Map(
    (await on.query<{ child: string; parent: string }>(partitionIndexes)).rows.map((row) => [row.child, row.parent]),
  )
  const probed: ProbedIndex[] = []
  for (const index of indexes) {
    const { table, name, method } = index
    const about = { table, name, method }
    const statement = await statementFor(on, index)
    if (statement === undefined) {
      probed.push({ ...about, statement: 'no row is in it', isTaken: false, preferred: undefined, times: 0 })
      continue
    }
    const free = await explain(on, statement, true)
    await on.query('begin')
    await on.query(hideOthers, [index.name])
    const alone = await explain(on, statement, true)
    await on.query('rollback')
    const none = await explain(on, statement, false)
    const isTaken = alone.indexes.some((name) => (parents.get(name) ?? name) === index.name)
    const preferred = free.indexes.map((name) => parents.get(name) ?? name)
    probed.push({ ...about, statement, isTaken, preferred: preferred[0], times: none.cost / alone.cost })
  }
  return probed
}

/** Undefined when no row is in the index: `fill.ts` should have made some. */
async function statementFor(on: Client, index: IndexRow): Promise<string | undefined> {
  const table = pg.escapeIdentifier(index.table)
  const where = index.condition === null ? 'true' : index.condition
  const last = index.columns.length - 1
  if (index.method === 'hnsw') {
    const column = pg.escapeIdentifier(index.columns[0] ?? '')
    const vector = vectorSql(Number(/\d+/.exec(index.types[0] ?? '')?.[0])).replace('where i > 0', '')
    const { rows } = await on.query<{ vector: string }>(`select ${vector}::text as vector`)
    return `select id from ${table} where ${where} order by ${column} <=> '${rows[0]?.vector}' limit 10`
  }
  // The rarest values that there are: those that are everywhere are what no index is for.
  const names = index.columns.map((name) => pg.escapeIdentifier(name))
  const shown = names.map((name) => `${name}::text as ${name}`)
  const { rows } = await on.query<Record<string, string>>(
    `select ${shown.join(', ')} from ${table} where ${where} and ${names.map((name) => `${name} is not null`).join(' and ')}
     group by ${names.map((name) => `${table}.${name}`).join(', ')} order by count(*), 1 limit 1`,
  )
  const [row] = rows
  if (!row) return undefined
  const conditions = index.columns.map((name, position) => {
    const column = pg.escapeIdentifier(name)
    const type = index.types[position] ?? ''
    const value = row[name] ?? ''
    const literal = `${pg.escapeLiteral(value)}::${type}`
    if (index.method === 'gin') return contains(column, type, value, index.operators)
    if (type.startsWith('timestamp') && position === last)
      return `${column} >= ${literal} and ${column} < ${literal} + interval '10 minutes'`
    return `${column} = ${literal}`
  })
  return `select * from ${table} where ${where} and ${conditions.join(' and ')}`
}

function contains(column: string, type: string, value: string, operators: string): string {
  if (operators.includes('gin_trgm_ops')) return `${column} ilike ${pg.escapeLiteral(`%${value.slice(3, 15)}%`)}`
  if (type === 'tsvector')
    return `${column} @@ to_tsquery('english', ${pg.escapeLiteral(/'(\w+)'/.exec(value)?.[1] ?? 'none')})`
  if (type === 'text') return `${column} = ${pg.escapeLiteral(value)}`
  return `${column} @> ${pg.escapeLiteral(value)}::${type}`
}

interface Plan {
  readonly 'Total Cost': number
  readonly 'Index Name'?: string
  readonly Plans?: readonly Plan[]
}

async function explain(
  on: Client,
  statement: string,
  indexes: boolean,
): Promise<{ readonly cost: number; readonly indexes: readonly string[] }> {
  const settings = ['enable_indexscan', 'enable_indexonlyscan', 'enable_bitmapscan']
  await on.query(settings.map((name) => `set ${name} = ${indexes ? 'on' : 'off'}`).join('; '))
  const { rows } = await on.query<{ 'QUERY PLAN': readonly { readonly Plan: Plan }[] }>(
    `explain (format json) ${statement}`,
  )
  const plan = rows[0]?.['QUERY PLAN'][0]?.Plan
  if (!plan) throw new Error(`No plan of ${statement}.`)
  await on.query(settings.map((name) => `reset ${name}`).join('; '))
  return { cost: plan['Total Cost'], indexes: namesIn(plan) }
}

export function namesIn({ 'Index Name': name, Plans: plans = [] }: Plan): readonly string[] {
  return [...(name === undefined ? [] : [name]), ...plans.flatMap(namesIn)]
}

/** $1 tables. Neither primary keys nor the replica identities, which are there for capture and not for queries. */
const indexesSql = `
select t.relname as table, i.relname as name, m.amname as method, pg_get_expr(x.indpred, x.indrelid) as condition, pg_get_indexdef(x.indexrelid) as operators,
  array(select a.attname::text from unnest(x.indkey) with ordinality k (attnum, place) join pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.attnum
    where k.place <= x.indnkeyatts order by k.place) as columns,
  array(select format_type(a.atttypid, a.atttypmod) from unnest(x.indkey) with ordinality k (attnum, place) join pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.attnum
    where k.place <= x.indnkeyatts order by k.place) as types
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid join pg_am m on m.oid = i.relam
where t.relnamespace = 'public'::regnamespace and t.relname = any ($1) and not x.indisprimary and not x.indisreplident
order by 1, 2`

/** $1 an index: only it and its parts are seen by the planner until the transaction ends. Needs a superuser. */
const hideOthers = `
with kept as (
  select c.oid from pg_class c where c.relname = $1
  union select h.inhrelid from pg_inherits h join pg_class c on c.oid = h.inhparent where c.relname = $1
)
update pg_index set indisvalid = false
where indrelid in (select indrelid from pg_index where indexrelid in (select oid from kept)) and indexrelid not in (select oid from kept)`

const partitionIndexes = `
select c.relname as child, p.relname as parent from pg_inherits h join pg_class c on c.oid = h.inhrelid join pg_class p on p.oid = h.inhparent
where c.relkind in ('i', 'I')`
