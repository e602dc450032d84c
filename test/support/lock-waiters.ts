import type { Pool } from 'pg'

/** How many statements of this database wait for a lock. `pg_locks` tells of other databases too: of those of tests. */
export async function countLockWaiters(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ waiters: number }>(
    `select count(*)::integer as waiters from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock'`,
  )
  return rows[0]?.waiters ?? 0
}
