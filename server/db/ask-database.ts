import type pg from 'pg'

/** The time by the clock of the database, milliseconds since 1970. */
export async function timeOf({ pool }: { readonly pool: pg.Pool }): Promise<number> {
  const { rows } = await pool.query<{ ms: number }>({
    name: 'clock',
    text: 'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
  })
  return Number(rows[0]?.ms)
}

/** Servers that have this in common serve the same database. */
export async function nameOf({ pool }: { readonly pool: pg.Pool }): Promise<string> {
  const { rows } = await pool.query<{ name: string }>(
    `select concat_ws('-', system_identifier, (select oid from pg_database where datname = current_database())) as name from pg_control_system()`,
  )
  return rows[0]?.name ?? ''
}
