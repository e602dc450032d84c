// A test that times out says nothing of what it waited for. This waits a little less long, and then says what for, and
// what the database was doing.
import pg from 'pg'
import type { Stage } from './stage.ts'

export type Patience = <T>(what: string, promise: Promise<T>) => Promise<T>

const activitySql = `
select pid, application_name as who, backend_type as type, state, wait_event_type || ':' || wait_event as waits,
  pg_blocking_pids(pid) as blockers, (clock_timestamp() - xact_start)::text as since, left(query, 200) as query
from pg_stat_activity
where pid <> pg_backend_pid() and (state is distinct from 'idle' and wait_event_type is distinct from 'Activity' or wait_event = 'SyncRep')`

/** Time for all that is waited for together, milliseconds: less than the test has. */
export function openPatience({ url }: Pick<Stage, 'url'>, ms = 150_000): Patience {
  const until = performance.now() + ms
  return async (what, promise) => {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      void activity(url).then((text) => late.reject(new Error(`Waited in vain until ${what}. The database: ${text}`)))
    }, until - performance.now())
    try {
      return await Promise.race([promise, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }
}

async function activity(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000, query_timeout: 5000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return JSON.stringify((await client.query(activitySql)).rows, null, 1)
  } catch (error) {
    return String(error)
  } finally {
    void client.end().catch(() => undefined)
  }
}
