import type { Json } from '../../protocol/rows/row.ts'
import type { ActionContext } from './action.ts'

/** A row as clients know it; null: the caller cannot see it. */
export async function oneRow(context: Pick<ActionContext, 'rows'>, table: string, id: string): Promise<Json> {
  const [row = null] = await context.rows(table, [id])
  return row
}
