import pg from 'pg'

/** Anything that runs a statement: the pool, or a client inside a transaction. */
type Queryable = Pick<pg.ClientBase, 'query'> | Pick<pg.Pool, 'query'>

/**
 * Inserts one row given by SQL column names; objects become JSON, arrays Postgres arrays. A row whose id is taken is
 * left as it is. Returns whether it was inserted.
 */
export async function insertRow(
  on: Queryable,
  table: string,
  row: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  const names = Object.keys(row)
  const columns = names.map((name) => pg.escapeIdentifier(name)).join(', ')
  const places = names.map((_, index) => `$${index + 1}`).join(', ')
  const sql = `insert into ${pg.escapeIdentifier(table)} (${columns}) values (${places}) on conflict do nothing`
  const { rowCount } = await on.query(
    sql,
    names.map((name) => row[name]),
  )
  return rowCount === 1
}
