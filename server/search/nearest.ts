import type { SqlQuery } from '../scope/sql-query.ts'
import { byGraph, compared, type Findable, type Near, type Nearest } from './candidates.ts'
import type { FewRows } from './few-rows.ts'

/**
 * Comparing one by one costs the same for every row that the condition leaves, 1 to 2 µs; the graph ten times as much
 * for each row that it passes, and it passes many where the condition refuses what lies near. At this number the two
 * are even if one row in twelve qualifies, and the worst of the graph (20,000 rows passed) costs ten times as much
 * (docs/performance.md).
 */
const exactRowsByDefault = 10_000

/** The planner may be wrong by this factor before comparing one by one is given up. */
const patience = 4

/** What a statement answers that is built upon a `Near`, and how many rows that one had. */
export interface Asked<T> {
  readonly answer: T
  readonly near: number
}

export interface NearestOptions {
  /** Rows that are compared one by one rather than found by the graph. Default 10,000. */
  readonly exactRows?: number | undefined
  /** Where few are expected; absent: the planner is asked each time. */
  readonly few?: FewRows | undefined
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
  { exactRows = exactRowsByDefault, few }: NearestOptions = {},
): Promise<T> {
  const { limit } = asked
  if (few?.has(asked) || (await expectedRows(query, asked)) <= exactRows) {
    const atMost = exactRows * patience
    const found = await ask(compared(asked, atMost))
    if (found.near <= exactRows) few?.add(asked)
    else few?.forget(asked)
    if (found.near <= atMost) return found.answer
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
  return (await ask(compared(asked))).answer
}

async function expectedRows(query: SqlQuery, { table, condition, values }: Findable): Promise<number> {
  const [explained] = await query<{ readonly 'QUERY PLAN': readonly { readonly Plan: { 'Plan Rows': number } }[] }>({
    text: `explain (format json) select from ${table} t where ${condition}`,
    values,
  })
  return explained?.['QUERY PLAN'][0]?.Plan['Plan Rows'] ?? 0
}
