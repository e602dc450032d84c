import pg from 'pg'

/**
 * A pool that outlives its connections. One that breaks says so as an event, also while somebody holds it between two
 * queries, and an event nobody hears would end the process; whoever uses it next gets the error, and the pool a fresh
 * connection.
 */
export function createSurvivingPool(config: pg.PoolConfig, lost: (error: Error) => void = () => undefined): pg.Pool {
  const pool = new pg.Pool(config)
  pool.on('error', lost)
  pool.on('connect', (client) => void client.on('error', () => undefined))
  return pool
}
