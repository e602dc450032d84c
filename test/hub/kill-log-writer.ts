import type { Database } from '../../server/db/db.ts'

/**
 * With the end of its source begun: as SIGKILL of the server that writes the log, what it has not written is not
 * written any more.
 */
export async function killLogWriter({ pool }: Pick<Database, 'pool'>): Promise<void> {
  await pool.query(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'tidewire log writer'`)
}

/**
 * Ends both connections of whoever writes the log, in the middle of what it does: the stream that it reads, and the one
 * that it writes by. It, or another server, takes the slot again.
 */
export async function endLogWriter({ pool }: Pick<Database, 'pool'>): Promise<void> {
  await pool.query(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database()
      and (backend_type = 'walsender' or application_name = 'tidewire log writer')`)
}
