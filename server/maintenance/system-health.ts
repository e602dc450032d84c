import type pg from 'pg'
import { z } from 'zod'

const systemHealthSchema = z.object({
  status: z.enum(['healthy', 'degraded', 'unhealthy']),
  timestamp: z.string(),
  database_modules: z.record(
    z.string(),
    z.object({ installed: z.boolean(), tables: z.number(), estimated_rows: z.number() }),
  ),
  performance_metrics: z.object({
    active_connections: z.number(),
    max_connections: z.number(),
    database_size_mb: z.number(),
    cache_hit_ratio: z.number().nullable(),
    longest_transaction_seconds: z.number(),
    query_performance: z.object({
      classification: z.enum(['optimal', 'degraded', 'critical', 'unknown']),
      window_seconds: z.number(),
      calls: z.number(),
      avg_ms: z.number().nullable(),
      p95_ms: z.number().nullable(),
      max_ms: z.number().nullable(),
      slow_calls: z.number(),
      error_calls: z.number(),
      probe_ms: z.number(),
    }),
  }),
  sync: z.object({
    open_conflicts: z.number(),
    devices: z.record(z.string(), z.number()),
    oldest_unacknowledged_seconds: z.number().nullable(),
    rejected_in_24_hours: z.number(),
  }),
  storage: z.object({
    largest_tables: z.array(z.object({ table: z.string(), bytes: z.number() })),
    default_partition_rows: z.record(z.string(), z.number()),
    missing_partitions: z.array(z.string()),
  }),
  maintenance: z.record(
    z.string(),
    z.object({
      last_at: z.string().nullable(),
      age_seconds: z.number().nullable(),
      limit_seconds: z.number(),
      ok: z.boolean(),
    }),
  ),
  checks: z.array(
    z.object({
      name: z.string(),
      status: z.enum(['ok', 'warning', 'failed']),
      value: z.number().nullable(),
      limit: z.number().nullable(),
      detail: z.string(),
    }),
  ),
})

/** What `sync.get_system_health()` says of the database; figures are measured at the call. */
export type SystemHealth = z.infer<typeof systemHealthSchema>

export async function readSystemHealth(db: Pick<pg.Pool, 'query'>): Promise<SystemHealth> {
  const { rows } = await db.query<{ health: unknown }>('select sync.get_system_health() as health')
  return systemHealthSchema.parse(rows[0]?.health)
}

/**
 * What of it somebody should see to, in words. That statements are slower than they might be is no neglect: it counts
 * when it is critical.
 */
export function neglected({ checks }: SystemHealth): readonly string[] {
  return checks.flatMap(({ name, status, detail }) =>
    status === 'failed' || (status === 'warning' && name !== 'query_performance') ? [`${name} (${detail})`] : [],
  )
}

/** A target of the last 30 days, and what was reached. */
export interface SuccessMetric {
  /** Slug; null: of the whole system. */
  readonly organization: string | null
  readonly metric: string
  /** Null: nothing was measured. */
  readonly value: number | null
  readonly target: number
  readonly met: boolean | null
}

export async function readSuccessMetrics(db: Pick<pg.Pool, 'query'>): Promise<readonly SuccessMetric[]> {
  const { rows } = await db.query<SuccessMetric>(
    `select o.slug as organization, m.metric, m.value, m.target, m.met from v_success_metrics m left join organizations o on o.id = m.organization_id
     order by o.slug nulls first, m.metric`,
  )
  return rows
}
