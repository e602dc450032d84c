import type { Pool, PoolClient } from 'pg'

export interface OneTransactionOptions {
  /** `rollback`: what the work did is taken back, as in a dry run. */
  readonly end?: 'commit' | 'rollback'
  /** The statements that begin it, when more than `begin` is needed. */
  readonly begin?: string
}

/**
 * Does the work in one transaction on a connection of its own, and takes it back when the work throws, whose error is
 * thrown then. A connection that breaks, or that cannot roll back, is given to nobody else.
 */
export async function inOneTransaction<T>(
  pool: Pick<Pool, 'connect'>,
  work: (client: PoolClient) => Promise<T>,
  { end = 'commit', begin = 'begin' }: OneTransactionOptions = {},
): Promise<T> {
  const client = await pool.connect()
  // A connection that breaks says so twice: to the query that waits, and as an event that would end the process.
  client.on('error', ignore)
  let isBroken = false
  try {
    await client.query(begin)
    const result = await work(client)
    await client.query(end)
    return result
  } catch (error) {
    await client.query('rollback').catch(() => (isBroken = true))
    throw error
  } finally {
    client.off('error', ignore)
    client.release(isBroken)
  }
}

function ignore(): void {}
