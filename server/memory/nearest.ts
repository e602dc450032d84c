import type { SqlQuery } from '../scope/sql-query.ts'

/** Which rows of a table are looked for by their vector. */
export interface Nearest {
  readonly table: string
  /** Column with the vectors, as SQL writes it. */
  readonly column: string
  /** Condition over alias `t`. */
  readonly condition: string
  /** Its parameters, from `$1` on. */
  readonly values: readonly unknown[]
  readonly vector: ArrayLike<number>
  readonly limit: number
  /** Rows that are compared one by one rather than found by the graph. Default 10,000. */
  readonly exactRows?: number | undefined
}

/**
 * Comparing one by one costs the same for every row that the condition leaves, 1 to 2 µs; the graph ten times as much for each row
 * that it passes, and it passes many where the condition refuses what lies near. At this number the two are even if one row in
 * twelve qualifies, and the worst of the graph (20,000 rows passed) costs ten times as much (docs/performance.md).
 */
const exactRowsByDefault = 10_000

/** The planner may be wrong by this factor before comparing one by one is given up. */
const patience = 4

/** Vectors of more dimensions are indexed in half precision (`server/db/prepare.ts`). */
const longestIndexed = 2000

/**
 * The ids of the rows nearest by cosine distance among those that satisfy the condition, nearest first. Few of them, as the
 * planner expects, are compared one by one; many are found by the HNSW index, which leaves out a few of those that are
 * farther away. Runs inside a transaction, and sets what the index is searched with for the rest of it.
 */
export async function nearestIds(query: SqlQuery, asked: Nearest): Promise<readonly string[]> {
  const { exactRows = exactRowsByDefault } = asked
  if ((await expectedRows(query, asked)) <= exactRows) {
    const compared = await byComparing(query, asked, exactRows * patience)
    if (compared !== undefined) return compared
  }
  const found = await byGraph(query, asked)
  if (found.length === asked.limit) return found
  // The graph gave up before it had passed enough rows, so there cannot be many that qualify.
  return (await byComparing(query, asked)) ?? found
}

async function expectedRows(query: SqlQuery, { table, condition, values }: Nearest): Promise<number> {
  const [explained] = await query<{ readonly 'QUERY PLAN': readonly { readonly Plan: { 'Plan Rows': number } }[] }>({
    text: `explain (format json) select from ${table} t where ${condition}`,
    values,
  })
  return explained?.['QUERY PLAN'][0]?.Plan['Plan Rows'] ?? 0
}

/** Undefined when there are more than `atMost` rows. */
async function byComparing(
  query: SqlQuery,
  { table, column, condition, values, vector, limit }: Nearest,
  atMost?: number,
): Promise<readonly string[] | undefined> {
  const rows = await query<{ readonly id: string; readonly compared: number }>({
    text: `with compared as materialized (
        select t.id, t.${column} <=> $${values.length + 1}::vector as distance
        from ${table} t where ${condition} and t.${column} is not null ${atMost === undefined ? '' : `limit ${atMost + 1}`}
      )
      select id, (select count(*) from compared)::int as compared from compared order by distance, id limit ${limit}`,
    values: [...values, vectorText(vector)],
  })
  const isTooMany = atMost !== undefined && (rows[0]?.compared ?? 0) > atMost
  return isTooMany ? undefined : rows.map(({ id }) => id)
}

async function byGraph(
  query: SqlQuery,
  { table, column, condition, values, vector, limit }: Nearest,
): Promise<readonly string[]> {
  // Conditions may refuse what the index answers first; it goes on until there is enough.
  const effort = Math.min(Math.max(2 * limit, 40), 1000)
  await query({ text: `set local hnsw.iterative_scan = 'relaxed_order'` })
  await query({ text: `set local hnsw.ef_search = ${effort}` })
  const rows = await query<{ readonly id: string }>({
    text: `select t.id from ${table} t where ${condition} and t.${column} is not null
      order by ${indexedVector(`t.${column}`, vector.length)} <=> $${values.length + 1}::${indexedType(vector.length)} limit ${limit}`,
    values: [...values, vectorText(vector)],
  })
  return rows.map(({ id }) => id)
}

/** As the HNSW index has the column. */
function indexedVector(column: string, dimension: number): string {
  return dimension > longestIndexed ? `(${column}::${indexedType(dimension)})` : column
}

function indexedType(dimension: number): string {
  return dimension > longestIndexed ? `halfvec(${dimension})` : 'vector'
}

export function vectorText(vector: ArrayLike<number>): string {
  return `[${Array.from(vector).join()}]`
}
