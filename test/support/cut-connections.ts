import type { Duplex } from 'node:stream'
import type { Pool, PoolClient } from 'pg'

export interface CutConnections extends Disposable {
  /** How many have died so far. */
  readonly connections: number
}

/**
 * Lets each connection that is taken from a pool die at its statement number `at`, from 0: before the statement is
 * sent, or after the database has done it and before anybody learns so. Until disposed.
 */
export function cutConnections(pool: Pool, at: number, stays: 'unsent' | 'unanswered'): CutConnections {
  let connections = 0
  const touched = new Set<PoolClient>()
  const onAcquire = (client: PoolClient): void => {
    touched.add(client)
    const query = client.query.bind(client) as (...given: unknown[]) => Promise<unknown>
    let before = at
    const cut = (): void => {
      connections++
      streamOf(client).destroy()
    }
    Object.assign(client, {
      query: async (...given: unknown[]): Promise<unknown> => {
        if (before-- !== 0) return query(...given)
        if (stays === 'unanswered') await query(...given)
        cut()
        if (stays === 'unsent') return query(...given)
        throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
      },
    })
  }
  pool.on('acquire', onAcquire)
  return {
    get connections() {
      return connections
    },
    [Symbol.dispose]() {
      pool.off('acquire', onAcquire)
      for (const client of touched) Reflect.deleteProperty(client, 'query')
    },
  }
}

function streamOf(client: PoolClient): Duplex {
  return (client as unknown as { readonly connection: { readonly stream: Duplex } }).connection.stream
}
