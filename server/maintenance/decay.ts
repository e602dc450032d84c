import type pg from 'pg'
import { alone, jobs } from './alone.ts'
import { recordRun, wasDone } from './runs.ts'

export interface DecayOptions {
  readonly pool: pg.Pool
  /** Memories in one statement, so that nobody waits long for a row. */
  readonly batch?: number
  /** Ends after the batch under way. */
  readonly signal?: AbortSignal
}

/** Once a night; a server whose clock is a little late finds it done. */
const doneMs = 12 * 60 * 60_000

/**
 * Lets memories fade: those that are of little use become colder, cold ones are archived, and what has expired says so. Answers
 * how many changed; undefined when it was done already, or another server is at it.
 */
export async function decayMemories({ pool, batch = 2000, signal }: DecayOptions): Promise<number | undefined> {
  return alone(pool, jobs.memoryDecay, async () => {
    if (await wasDone(pool, 'memory_decay', doneMs)) return undefined
    return recordRun(
      pool,
      { kind: 'memory_decay' },
      () => decayAll(pool, batch, signal),
      (affected) => ({ status: 'completed', affected, details: {} }),
    )
  })
}

/** In the order of their ids, so that none fades twice in one night. */
async function decayAll(pool: pg.Pool, batch: number, signal: AbortSignal | undefined): Promise<number> {
  let total = 0
  let last: string | null = null
  for (let changed = batch; changed >= batch && signal?.aborted !== true; total += changed) {
    const { rows }: pg.QueryResult<Decayed> = await pool.query(
      'select changed, last_id from sync.decay_memories($1, $2)',
      [batch, last],
    )
    changed = rows[0]?.changed ?? 0
    last = rows[0]?.last_id ?? null
  }
  return total
}

interface Decayed {
  readonly changed: number
  readonly last_id: string | null
}
