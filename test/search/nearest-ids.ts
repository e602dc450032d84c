import type { SqlQuery } from '../../server/scope/sql-query.ts'
import type { Nearest } from '../../server/search/candidates.ts'
import { askNearest } from '../../server/search/nearest.ts'

/** The ids of the rows nearest to a vector, nearest first. Runs inside a transaction, as `askNearest`. */
export function nearestIds(query: SqlQuery, asked: Nearest, exactRows: number): Promise<readonly string[]> {
  return askNearest(
    query,
    asked,
    async ({ text, values }) => {
      const rows = await query<{ readonly id: string; readonly near: number }>({
        text: `with near as materialized (${text})
          select id, (select count(*) from near)::int as near from near order by distance, id limit ${asked.limit}`,
        values,
      })
      return { answer: rows.map(({ id }) => id), near: rows[0]?.near ?? 0 }
    },
    { exactRows },
  )
}
