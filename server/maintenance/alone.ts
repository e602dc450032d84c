import pg from 'pg'

/**
 * First half of the advisory locks by which servers and commands share the jobs; the second is the job's. Any constant
 * does. Session locks: the end of the connection, however it comes, frees them. The connections of the embedded
 * database are one session, so there two runs of a job share the work instead.
 */
export const maintenanceLock = 7_164_902

/** Second halves, by the names of the jobs. 0 is the canary's, 2 was another job's. */
const locks = {
  prune: 1,
  partitions: 3,
  retention: 4,
  analytics: 5,
  integrity_check: 6,
  backup: 7,
  restore_test: 8,
  rollup: 9,
  memory_decay: 10,
  repricing: 11,
  embedding: 12,
  pipeline_schedules: 13,
} as const

/**
 * Runs a job of all servers together; undefined: another one is at it, and nothing was done. The lock has a connection
 * of its own: the job takes those of the pool, and a small pool would have none left for it.
 */
export async function alone<T>(pool: pg.Pool, job: keyof typeof locks, run: () => Promise<T>): Promise<T | undefined> {
  const client = new pg.Client(pool.options)
  // Whoever waits for a query gets the error; as an event it would end the process.
  client.on('error', () => undefined)
  await client.connect()
  try {
    const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_lock($1, $2) as mine', [
      maintenanceLock,
      locks[job],
    ])
    if (!rows[0]?.mine) return undefined
    return await run().finally(() => client.query('select pg_advisory_unlock($1, $2)', [maintenanceLock, locks[job]]))
  } finally {
    await client.end()
  }
}
