import type pg from 'pg'
import type { CancelTimer, Clock } from '../../../lib/clock.ts'
import { TideError } from '../../../protocol/error.ts'

/** Who is waited for: a process, or a transaction that was prepared and has none. */
interface Blocker {
  readonly pid: number | null
  readonly gid: string | null
  readonly database: string | null
  /** As Postgres writes it. */
  readonly since: string | null
}

export interface SetupWatchOptions {
  readonly pool: Pick<pg.Pool, 'query'>
  readonly clock: Clock
  /** It waits for somebody; told again while it does. `looks`: how often it has been told. */
  readonly onBlocked: (trouble: TideError, looks: number) => void
}

const lookMs = 5000

/** Those for whom a connection waits, over others who wait themselves. A prepared transaction holds its lock as process 0. */
const blockersSql = `
with recursive chain(pid, waiter) as (
  select b, $1::integer from unnest(pg_blocking_pids($1)) b
  union
  select b, c.pid from chain c, unnest(pg_blocking_pids(c.pid)) b where c.pid <> 0
)
select a.pid, p.gid, coalesce(p.database, a.datname)::text as database, coalesce(p.prepared, a.xact_start)::timestamptz(0)::text as since
from chain c
left join pg_stat_activity a on a.pid = c.pid
left join pg_locks w on c.pid = 0 and w.pid = c.waiter and not w.granted and w.locktype = 'transactionid'
left join pg_prepared_xacts p on p.transaction = w.transactionid
where (c.pid = 0 and p.gid is not null) or (a.pid is not null and pg_blocking_pids(c.pid) = '{}')
order by 4 limit 1`

/**
 * Watches a connection that sets up capture. A new slot waits for all transactions that are writing at that moment, in whichever database of
 * the cluster, without a limit and without a word: so this says who it is, and how to end it.
 */
export class SetupWatch {
  readonly #options: SetupWatchOptions
  #pid: number | undefined
  #isCancelled = false

  constructor(options: SetupWatchOptions) {
    this.#options = options
  }

  /** The connection of a process of Postgres begins. Returns how to say that it has ended. Throws `closed` when it need not begin. */
  begin(pid: number): () => void {
    if (this.#isCancelled) throw new TideError('closed', 'Capture is not set up any more.')
    this.#pid = pid
    let cancel: CancelTimer = () => undefined
    let looks = 0
    const look = async (): Promise<void> => {
      const blocker = await this.#blockerOf(pid).catch(() => undefined)
      if (this.#pid !== pid) return
      if (blocker) this.#options.onBlocked(toTrouble(blocker), ++looks)
      cancel = this.#options.clock.after(lookMs, () => void look())
    }
    cancel = this.#options.clock.after(lookMs, () => void look())
    return () => {
      this.#pid = undefined
      cancel()
    }
  }

  /** For good: what it does ends with an error, so that nobody waits for it. */
  async cancel(): Promise<void> {
    this.#isCancelled = true
    if (this.#pid !== undefined)
      await this.#options.pool.query('select pg_cancel_backend($1)', [this.#pid]).catch(() => undefined)
  }

  async #blockerOf(pid: number): Promise<Blocker | undefined> {
    const { rows } = await this.#options.pool.query<Blocker>(blockersSql, [pid])
    return rows[0]
  }
}

function toTrouble({ pid, gid, database, since }: Blocker): TideError {
  const where = `in database ${database ?? 'unknown'}, since ${since ?? 'unknown'}`
  const who = gid === null ? `that of process ${pid}` : `the prepared transaction ${literal(gid)}`
  return new TideError('capture_unavailable', `Capture waits for a transaction to end: ${who}, ${where}.`, {
    remedy:
      gid === null
        ? `Wait until it ends, or end it: SELECT pg_terminate_backend(${pid});`
        : `Commit it or roll it back, in its database: ROLLBACK PREPARED ${literal(gid)};`,
  })
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
