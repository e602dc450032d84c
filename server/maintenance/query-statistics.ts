import type pg from 'pg'
import { inOneTransaction } from '../db/db.ts'
import type { StatementFigures } from '../telemetry/telemetry.ts'

/** How often statements that were counted are written down: a slow one is named within a minute. */
export const statisticsIntervalMs = 20_000

const planEveryMs = 60 * 60_000
const mostPlanned = 500
const planLimit = '2s'

/** Minutes may be written several times, and by several servers: figures are added. */
const keepSql = `
insert into query_statistics as kept (bucket_start, fingerprint, sample_sql, calls, error_calls, slow_calls, total_ms, max_ms, rows_returned, histogram, plan)
select bucket::timestamptz, fingerprint, sample, calls, errors, slow, "totalMs", "maxMs", rows, histogram, plan
from jsonb_to_recordset($1) as fresh(
  bucket text, fingerprint text, sample text, calls bigint, errors bigint, slow bigint, "totalMs" double precision, "maxMs" double precision, rows bigint, histogram jsonb, plan jsonb
)
on conflict (bucket_start, fingerprint) do update set
  calls = kept.calls + excluded.calls, error_calls = kept.error_calls + excluded.error_calls, slow_calls = kept.slow_calls + excluded.slow_calls,
  total_ms = kept.total_ms + excluded.total_ms, max_ms = greatest(kept.max_ms, excluded.max_ms), rows_returned = kept.rows_returned + excluded.rows_returned,
  histogram = sync.add_histograms(kept.histogram, excluded.histogram), plan = coalesce(kept.plan, excluded.plan), updated_at = now()`

/** Writes figures down; a slow read also gets its plan, once an hour. */
export class QueryStatistics {
  readonly #pool: pg.Pool
  readonly #now: () => number
  readonly #planned = new Map<string, number>()
  #canPlan: boolean | undefined

  constructor(pool: pg.Pool, now: () => number) {
    this.#pool = pool
    this.#now = now
  }

  async write(figures: readonly StatementFigures[]): Promise<void> {
    if (figures.length === 0) return
    const rows: unknown[] = []
    for (const one of figures) rows.push({ ...one, plan: one.slow > 0 ? await this.#planOf(one) : null })
    await this.#pool.query(keepSql, [JSON.stringify(rows)])
  }

  /**
   * The plan for any values: those of the slow call are not kept, for they are what people wrote. Null: none can be
   * made.
   */
  async #planOf({ fingerprint, sample }: StatementFigures): Promise<unknown> {
    const now = this.#now()
    if (!isRead(sample) || now - (this.#planned.get(fingerprint) ?? -planEveryMs) < planEveryMs) return null
    if (this.#planned.size >= mostPlanned) this.#planned.clear()
    this.#planned.set(fingerprint, now)
    try {
      return await inOneTransaction(
        this.#pool,
        async (client) => {
          this.#canPlan ??= await knowsGenericPlans(client)
          if (!this.#canPlan) return null
          const { rows } = await client.query<{ 'QUERY PLAN': unknown }>(
            `explain (generic_plan, format json) ${sample}`,
          )
          return rows[0]?.['QUERY PLAN'] ?? null
        },
        { begin: `begin read only; set local statement_timeout = '${planLimit}'`, end: 'rollback' },
      )
    } catch {
      // A literal may stand where no parameter can, as in `interval '1 day'`.
      return null
    }
  }
}

function isRead(sample: string): boolean {
  return /^(select|with)\b/i.test(sample) && !/;|\b(insert|update|delete|merge)\b/i.test(sample)
}

/** From PostgreSQL 16 on. */
async function knowsGenericPlans(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ known: boolean }>(
    `select current_setting('server_version_num')::integer >= 160000 as known`,
  )
  return rows[0]?.known ?? false
}
