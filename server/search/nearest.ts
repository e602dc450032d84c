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

/** A select of `id` and `distance` of rows, nearest first where the graph found them, and the values of its parameters from `$1` on. */
export interface Near {
  readonly text: string
  readonly values: readonly unknown[]
}

/** What a statement answers that is built upon a `Near`, and how many rows that one had. */
export interface Asked<T> {
  readonly answer: T
  readonly near: number
}

/**
 * The ids of the rows nearest by cosine distance among those that satisfy the condition, nearest first. Runs inside a
 * transaction, as `askNearest`.
 */
export async function nearestIds(query: SqlQuery, asked: Nearest): Promise<readonly string[]> {
  return askNearest(query, asked, async ({ text, values }) => {
    const rows = await query<{ readonly id: string; readonly near: number }>({
      text: `with near as materialized (${text})
        select id, (select count(*) from near)::int as near from near order by distance, id limit ${asked.limit}`,
      values,
    })
    return { answer: rows.map(({ id }) => id), near: rows[0]?.near ?? 0 }
  })
}

/**
 * Runs a statement over the rows nearest by cosine distance among those that satisfy the condition. Few of them, as the
 * planner expects, are compared one by one, and then the statement is given all of them; many are found by the HNSW
 * index, which leaves out a few of those that are farther away, and then it is given `limit` of them. Runs inside a
 * transaction, and sets what the index is searched with for the rest of it. `ask` may be called again.
 */
export async function askNearest<T>(
  query: SqlQuery,
  asked: Nearest,
  ask: (near: Near) => Promise<Asked<T>>,
): Promise<T> {
  const { exactRows = exactRowsByDefault, limit } = asked
  if ((await expectedRows(query, asked)) <= exactRows) {
    const atMost = exactRows * patience
    const compared = await ask(comparing(asked, atMost))
    if (compared.near <= atMost) return compared.answer
  }
  // Conditions may refuse what the index answers first; it goes on until there is enough.
  const effort = Math.min(Math.max(2 * limit, 40), 1000)
  await query({
    text: `select set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', $1, true)`,
    values: [String(effort)],
  })
  const found = await ask(byGraph(asked))
  if (found.near === limit) return found.answer
  // The graph gave up before it had passed enough rows, so there cannot be many that qualify.
  return (await ask(comparing(asked))).answer
}

async function expectedRows(query: SqlQuery, { table, condition, values }: Nearest): Promise<number> {
  const [explained] = await query<{ readonly 'QUERY PLAN': readonly { readonly Plan: { 'Plan Rows': number } }[] }>({
    text: `explain (format json) select from ${table} t where ${condition}`,
    values,
  })
  return explained?.['QUERY PLAN'][0]?.Plan['Plan Rows'] ?? 0
}

/** All rows, or one more than `atMost`. */
function comparing({ table, column, condition, values, vector }: Nearest, atMost?: number): Near {
  return {
    text: `select t.id, t.${column} <=> $${values.length + 1}::vector as distance
      from ${table} t where ${condition} and t.${column} is not null ${atMost === undefined ? '' : `limit ${atMost + 1}`}`,
    values: [...values, vectorText(vector)],
  }
}

function byGraph({ table, column, condition, values, vector, limit }: Nearest): Near {
  const bound = `$${values.length + 1}`
  return {
    text: `select t.id, t.${column} <=> ${bound}::vector as distance
      from ${table} t where ${condition} and t.${column} is not null
      order by ${indexedVector(`t.${column}`, vector.length)} <=> ${bound}::${indexedType(vector.length)} limit ${limit}`,
    values: [...values, vectorText(vector)],
  }
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
