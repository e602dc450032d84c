import type pg from 'pg'
import { alone } from './alone.ts'
import { recordRun, wasDone } from './runs.ts'

/** One thing that was looked at. */
export interface IntegrityLook {
  /** `references`, `counters` or `default partition`. */
  readonly lookedAt: string
  readonly table: string
  readonly problems: number
  /** Id of one of the rows. */
  readonly example: string | null
}

export interface IntegrityOptions {
  readonly triggeredBy?: string
  /** Not when a check was completed within so many milliseconds. */
  readonly unlessDoneMs?: number
}

/**
 * Looks for what foreign keys cannot hold; changes nothing. Undefined: another server is at it, or was within
 * `unlessDoneMs`.
 */
export async function checkIntegrity(
  pool: pg.Pool,
  { triggeredBy = 'schedule', unlessDoneMs = 0 }: IntegrityOptions = {},
): Promise<readonly IntegrityLook[] | undefined> {
  return alone(pool, 'integrity_check', async () => {
    if (unlessDoneMs > 0 && (await wasDone(pool, 'integrity_check', unlessDoneMs))) return undefined
    return recordRun(
      pool,
      { kind: 'integrity_check', triggeredBy },
      () => readIntegrity(pool),
      (looks) => {
        const problems = looks.filter((look) => look.problems > 0)
        return {
          status: 'completed',
          affected: problems.reduce((sum, look) => sum + look.problems, 0),
          details: { problems },
        }
      },
    )
  })
}

/** The same without a record, also of a database that nobody serves. */
export async function readIntegrity(db: Pick<pg.Pool, 'query'>): Promise<readonly IntegrityLook[]> {
  const { rows } = await db.query<IntegrityLook>(
    `select looked_at as "lookedAt", table_name as "table", problems::float8 as problems, example from sync.check_integrity()`,
  )
  return rows
}
