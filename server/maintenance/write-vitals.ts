import type pg from 'pg'
import type { Vitals } from '../telemetry/telemetry.ts'

/**
 * How often vitals are written, as rows of `system_metrics`. `sync.availability` takes a longer silence for a time in
 * which the server was away.
 */
export const vitalsIntervalMs = 60_000

export async function writeVitals(pool: pg.Pool, vitals: Vitals): Promise<void> {
  const samples: readonly (readonly [name: string, value: number | null, unit: string | null])[] = [
    ['server.up', Number(vitals.ready), null],
    ['db.pool.used', vitals.poolUsed, 'connections'],
    ['sync.connections', vitals.connections, 'connections'],
    ['sync.push_ms', vitals.pushMs, 'ms'],
    ['sync.feed_lag_ms', vitals.feedLagMs, 'ms'],
    ['sync.conflicts', vitals.openConflicts, 'rows'],
  ]
  const measured = samples.filter(([, value]) => value !== null)
  await pool.query(
    `insert into system_metrics (metric_name, value, unit, labels)
     select name, value, unit, jsonb_build_object('node', $4::text) from unnest($1::text[], $2::float8[], $3::text[]) as sample(name, value, unit)
     union all
     select 'tasks.claimed', count(*), 'rows', jsonb_build_object('node', $4::text) from tasks where lease_expires_at is not null`,
    [
      measured.map(([name]) => name),
      measured.map(([, value]) => value),
      measured.map(([, , unit]) => unit),
      vitals.node,
    ],
  )
}
