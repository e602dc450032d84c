import pg from 'pg'
import type { SetupWatch } from './setup-watch.ts'

/** Servers that start together do not set up together. Any constant does. */
const setupLock = 7_164_902_334
const lockTries = 10

/**
 * Runs `work` on a connection of its own, one server at a time. It waits 3 s for the lock of a table; `watch` hears of
 * longer waits. Postgres ends the connection, and with it the lock, when nothing is asked over it for 5 s.
 */
export async function withSetupLock<T>(
  connection: pg.ClientConfig,
  work: (client: pg.Client) => Promise<T>,
  watch?: SetupWatch,
): Promise<T> {
  const client = new pg.Client({ ...connection, application_name: 'tidewire capture setup' })
  // Whoever waits for a query gets the error; as an event it would end the process.
  client.on('error', () => undefined)
  await client.connect()
  let ended = (): void => undefined
  try {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    if (watch) ended = watch.begin(rows[0]?.pid ?? 0)
    // So that a server that was killed while it waited does not go on waiting, and one that hangs with the lock does
    // not keep it.
    await client.query(
      `set client_connection_check_interval = '5s'; set idle_session_timeout = '5s'; set idle_in_transaction_session_timeout = '5s'`,
    )
    await client.query('select pg_advisory_lock($1)', [setupLock])
    await client.query(`set lock_timeout = '3s'`)
    return await work(client)
  } finally {
    ended()
    await client.end()
  }
}

/** A busy table may be locked for a while: give way to others and try again. */
export async function patiently(work: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await work()
      return
    } catch (error) {
      const code = error instanceof pg.DatabaseError ? error.code : undefined
      if ((code !== '55P03' && code !== '40P01') || attempt === lockTries) throw error
    }
  }
}
