import type pg from 'pg'
import { TideError } from '../../protocol/error.ts'
import { alone } from './alone.ts'
import { recordRun, wasDone } from './runs.ts'

/** One materialized view after its refresh. */
export interface RefreshedView {
  readonly name: string
  readonly rows: number
  readonly ms: number
}

export interface RefreshOptions {
  /** Names of materialized views, with or without `mv_`; all when absent. */
  readonly only?: readonly string[]
  readonly triggeredBy?: string
  /** Not when a refresh was completed within so many milliseconds. */
  readonly unlessDoneMs?: number
  /** After each view. */
  readonly onProgress?: (view: RefreshedView) => void
  /** Ends after the view under way. */
  readonly signal?: AbortSignal
}

/**
 * Works the analytics out anew, view by view: each is one transaction, during which its readers go on reading the old
 * content. Undefined: another server is at it, or was within `unlessDoneMs`. Throws `invalid_value` for a name that is
 * none.
 */
export async function refreshAnalytics(
  pool: pg.Pool,
  { only, triggeredBy = 'schedule', unlessDoneMs = 0, onProgress, signal }: RefreshOptions = {},
): Promise<readonly RefreshedView[] | undefined> {
  const names = await namesOf(pool, only)
  const work = async (): Promise<readonly RefreshedView[]> => {
    const views: RefreshedView[] = []
    for (const name of names) {
      if (signal?.aborted) break
      const { rows } = await pool.query<{ rows: number; ms: number }>(
        'select row_count::float8 as rows, ms from sync.refresh_analytics($1)',
        [[name]],
      )
      const view = { name, rows: rows[0]?.rows ?? 0, ms: Math.round(rows[0]?.ms ?? 0) }
      views.push(view)
      onProgress?.(view)
    }
    return views
  }
  return alone(pool, 'analytics', async () => {
    if (unlessDoneMs > 0 && (await wasDone(pool, 'analytics', unlessDoneMs))) return undefined
    return recordRun(pool, { kind: 'analytics', triggeredBy }, work, (views) => ({
      status: 'completed',
      affected: views.reduce((sum, { rows }) => sum + rows, 0),
      details: Object.fromEntries(views.map(({ name, rows, ms }) => [name, { rows, ms }])),
    }))
  })
}

async function namesOf(pool: pg.Pool, only: readonly string[] | undefined): Promise<readonly string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select matviewname as name from pg_matviews where schemaname = 'public' order by 1`,
  )
  const known = rows.map(({ name }) => name)
  if (only === undefined) return known
  return only.map((wanted) => {
    const name = known.find((one) => one === wanted || one === `mv_${wanted}`)
    if (name !== undefined) return name
    throw new TideError('invalid_value', `There are no analytics called ${JSON.stringify(wanted)}.`, {
      remedy: `Name some of ${known.map((one) => one.replace(/^mv_/, '')).join(', ')}; without names all are refreshed.`,
    })
  })
}
