import pg from 'pg'

/** Who is waited for: a process of Postgres, or a transaction that was prepared and has none. */
export interface Blocker {
  readonly pid: number | null
  readonly gid: string | null
  readonly database: string | null
  readonly application: string | null
  /** As in pg_stat_activity. */
  readonly state: string | null
  /** When its transaction began, as Postgres writes it. */
  readonly since: string | null
  /** Seconds since then. */
  readonly age: number | null
}

/**
 * Those for whom a connection waits, over others who wait themselves. A prepared transaction holds its lock as process
 * 0: it is found by the transaction that is waited for, or by that which holds a lock of the same table.
 */
const blockersSql = `
with recursive chain(pid, waiter) as (
  select b, $1::integer from unnest(pg_blocking_pids($1)) b
  union
  select b, c.pid from chain c, unnest(pg_blocking_pids(c.pid)) b where c.pid <> 0
), prepared as (
  select c.waiter, p.* from chain c
  join pg_locks w on w.pid = c.waiter and not w.granted
  left join pg_locks h on h.granted and h.pid is null and h.locktype = w.locktype and h.relation = w.relation and h.database = w.database
  left join pg_locks t on t.granted and t.pid is null and t.locktype = 'transactionid' and t.virtualtransaction = h.virtualtransaction
  join pg_prepared_xacts p on p.transaction in (w.transactionid, t.transactionid)
  where c.pid = 0
)
select a.pid, p.gid, coalesce(p.database, a.datname)::text as database, a.application_name as application, a.state,
  coalesce(p.prepared, a.xact_start)::timestamptz(0)::text as since,
  floor(extract(epoch from clock_timestamp() - coalesce(p.prepared, a.xact_start)))::integer as age
from chain c
left join pg_stat_activity a on a.pid = c.pid
left join prepared p on c.pid = 0 and p.waiter = c.waiter
where p.gid is not null or (a.pid is not null and pg_blocking_pids(c.pid) = '{}')
order by 6 limit 1`

/**
 * Of those for whom a process of Postgres waits the one whose transaction is the oldest; undefined: it waits for
 * nobody.
 */
export async function findBlocker(
  asked: Pick<pg.Pool | pg.Client, 'query'>,
  pid: number,
): Promise<Blocker | undefined> {
  const { rows } = await asked.query<Blocker>(blockersSql, [pid])
  return rows[0]
}

/** What to do so that nobody waits for it any more. */
export function endBlocker({ pid, gid }: Blocker): string {
  return gid === null
    ? `Wait until it ends, or end it: SELECT pg_terminate_backend(${pid});`
    : `Commit it or roll it back, in its database: ROLLBACK PREPARED ${pg.escapeLiteral(gid)};`
}

/** In words, as the object of a sentence. */
export function nameBlocker({ pid, gid, application, state, age }: Blocker): string {
  const open = age === null ? '' : `, open for ${age} s,`
  if (gid !== null) return `the prepared transaction ${pg.escapeLiteral(gid)}${open}`
  const about = [application || 'without a name', state ?? 'in a state that is not shown'].join(', ')
  return `process ${pid} (${about})${open}`
}
