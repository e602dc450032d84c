import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { recordEffect } from './runs.ts'

/** What nobody speaks for any more, by kind. */
export interface Swept {
  readonly instances: number
  readonly leases: number
  readonly pipelines: number
}

/** Instances first: what they held is then over. Several servers may do it at once; each row is taken by one. */
const sweepSql = `
select instances, sync.sweep_leases() as leases, sync.sweep_pipelines() as pipelines from (select sync.sweep_instances() as instances offset 0) swept`

export interface SweepOptions {
  readonly pool: pg.Pool
  readonly clock: Clock
  readonly triggeredBy?: string
  /** Takes back what it did, and only says what it would have been. */
  readonly dryRun?: boolean
}

/** Takes back work of instances that are silent and of leases that ran out. */
export async function sweepWork({
  pool,
  clock,
  triggeredBy = 'schedule',
  dryRun = false,
}: SweepOptions): Promise<Swept> {
  return recordEffect(
    {
      pool,
      clock,
      kind: 'lease_sweep',
      dryRun,
      triggeredBy,
      affected: ({ instances, leases, pipelines }) => instances + leases + pipelines,
      details: (swept) => swept,
    },
    async () => {
      const client = await pool.connect()
      try {
        if (dryRun) await client.query('begin')
        const { rows } = await client.query<Swept>(sweepSql)
        return rows[0] ?? { instances: 0, leases: 0, pipelines: 0 }
      } finally {
        if (dryRun) await client.query('rollback')
        client.release()
      }
    },
  )
}
