import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { systemClock } from '../../lib/clock.ts'
import { alone } from './alone.ts'
import { recordEffect } from './runs.ts'

export interface RepriceOptions {
  readonly clock?: Clock
  readonly triggeredBy?: string
  /** After each batch: usages priced so far. */
  readonly onProgress?: (usages: number) => void
  /** Ends after the batch under way. */
  readonly signal?: AbortSignal
}

/** As many usages as a price that is added takes along in its own transaction. */
const batch = 10_000

/**
 * Gives usage its cost that has none though there is a price for it. Answers how many; undefined: another server is at
 * it.
 */
export async function repriceUsage(
  pool: pg.Pool,
  { clock = systemClock, triggeredBy = 'schedule', onProgress, signal }: RepriceOptions = {},
): Promise<number | undefined> {
  const work = async (): Promise<number> => {
    let total = 0
    for (let priced = batch; priced === batch && signal?.aborted !== true; total += priced) {
      const { rows } = await pool.query<{ n: number }>('select sync.reprice_usage($1)::integer as n', [batch])
      priced = rows[0]?.n ?? 0
      if (priced > 0) onProgress?.(total + priced)
    }
    return total
  }
  return alone(pool, 'repricing', () =>
    recordEffect({ pool, clock, kind: 'repricing', triggeredBy, affected: (usages) => usages }, work),
  )
}
