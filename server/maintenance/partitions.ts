import type pg from 'pg'
import { alone } from './alone.ts'
import { recordRun } from './runs.ts'
import type { Database } from '../db/db.ts'

export interface PartitionsOptions {
  readonly pool: pg.Pool
  readonly monthsAhead: number
  readonly triggeredBy?: string
}

/** What is to be done for the logs. */
export interface WantingPartitions {
  /** Partitions of this month and the next that are not there. */
  readonly missing: readonly string[]
  /** Rows that wait in default partitions, of each log at most 10,001. */
  readonly waiting: number
}

/** The embedded database makes them while everybody waits, and it is looked after as long as anybody writes to it. */
export function monthsAhead({ embedded }: Pick<Database, 'embedded'>): number {
  return embedded ? 1 : 3
}

export async function wantingPartitions(db: Pick<pg.Pool, 'query'>): Promise<WantingPartitions> {
  const { rows } = await db.query<WantingPartitions>(
    `select coalesce(array_agg(month order by month) filter (where month is not null), '{}') as missing,
       (select coalesce(sum(in_default), 0)::integer from sync.log_partitions()) as waiting
     from sync.log_partitions() p left join lateral unnest(p.missing) as month on true`,
  )
  return rows[0] ?? { missing: [], waiting: 0 }
}

/**
 * Makes the months of the logs, and moves there what waits for them; recorded when there was something to do. Answers
 * how many months it made; undefined: another server is at it.
 */
export async function ensurePartitions({
  pool,
  monthsAhead,
  triggeredBy = 'schedule',
}: PartitionsOptions): Promise<number | undefined> {
  const make = async (): Promise<number> => {
    // Its locks are not held until a synchronous standby has caught up.
    const { rows } = await pool.query<{ made: number }>(
      `select set_config('synchronous_commit', 'local', true), sync.ensure_partitions($1) as made`,
      [monthsAhead],
    )
    return rows[0]?.made ?? 0
  }
  return alone(pool, 'partitions', async () => {
    const { missing, waiting } = await wantingPartitions(pool)
    if (missing.length === 0 && waiting === 0) return make()
    return recordRun(pool, { kind: 'partitions', triggeredBy }, make, (made) => ({
      status: 'completed',
      affected: made,
      details: { waiting },
    }))
  })
}
