import type pg from 'pg'
import { inOneTransaction } from '../db/db.ts'
import { alone } from './alone.ts'
import { recordRun, wasDone } from './runs.ts'

export interface DecayOptions {
  readonly pool: pg.Pool
  /** Memories in one statement, so that nobody waits long for a row. */
  readonly batch?: number
  /**
   * Not when it was done within so many milliseconds, by default 12 hours: two runs in one night let a memory fade two
   * steps.
   */
  readonly unlessDoneMs?: number
  /** In one transaction that is taken back: it only says how many would change. */
  readonly dryRun?: boolean
  readonly triggeredBy?: string
  /** After each batch: memories changed so far. */
  readonly onProgress?: (memories: number) => void
  /** Ends after the batch under way. */
  readonly signal?: AbortSignal
}

const nightMs = 12 * 60 * 60_000

/**
 * Lets memories fade: those that are of little use become colder, cold ones are archived, and what has expired says so.
 * Answers how many changed; undefined when it was done already, or another server is at it.
 */
export async function decayMemories(options: DecayOptions): Promise<number | undefined> {
  const { pool, unlessDoneMs = nightMs, dryRun = false, triggeredBy = 'schedule' } = options
  return alone(pool, 'memory_decay', async () => {
    if (!dryRun && (await wasDone(pool, 'memory_decay', unlessDoneMs))) return undefined
    return recordRun(
      pool,
      { kind: 'memory_decay', dryRun, triggeredBy },
      () =>
        dryRun
          ? inOneTransaction(pool, (client) => decayAll(client, options), { end: 'rollback' })
          : decayAll(pool, options),
      (affected) => ({ status: 'completed', affected, details: {} }),
    )
  })
}

/** In the order of their ids, so that none fades twice in one night. */
async function decayAll(
  on: Pick<pg.ClientBase, 'query'>,
  { batch = 2000, onProgress, signal }: DecayOptions,
): Promise<number> {
  let total = 0
  let last: string | null = null
  for (let changed = batch; changed >= batch && signal?.aborted !== true;) {
    const { rows }: pg.QueryResult<Decayed> = await on.query(
      'select changed, last_id from sync.decay_memories($1, $2)',
      [batch, last],
    )
    changed = rows[0]?.changed ?? 0
    last = rows[0]?.last_id ?? null
    total += changed
    if (changed > 0) onProgress?.(total)
  }
  return total
}

interface Decayed {
  readonly changed: number
  readonly last_id: string | null
}
