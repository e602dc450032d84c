import type pg from 'pg'

interface Stale {
  readonly name: string
}

const staleSql = `
select quote_ident(schemaname) || '.' || quote_ident(relname) as name from pg_stat_user_tables
where n_dead_tup > 500 + 0.2 * n_live_tup or n_mod_since_analyze > 500 + 0.1 * n_live_tup or n_ins_since_vacuum > 1000 + 0.2 * n_live_tup
order by n_dead_tup desc`

/**
 * What autovacuum does on a server of its own: the embedded database has no background workers. Table by table, so that
 * others get their turn in between. Returns the tables it tended.
 */
export async function vacuumStale(pool: pg.Pool): Promise<readonly string[]> {
  // Counters of the one backend are published at most once a second, and only when it falls idle.
  await pool.query('select pg_stat_force_next_flush()')
  const { rows } = await pool.query<Stale>(staleSql)
  for (const { name } of rows) await pool.query(`vacuum (analyze) ${name}`)
  return rows.map(({ name }) => name)
}
