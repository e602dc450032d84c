import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { inOneTransaction } from '../db/db.ts'
import type { Log } from '../telemetry/telemetry.ts'
import { recordEffect } from './runs.ts'

/** What nobody speaks for any more, by kind. */
export interface Swept {
  readonly instances: number
  readonly leases: number
  readonly pipelines: number
  /** Rows that could not be taken back, at most ten of each kind. They are tried again by the next sweep. */
  readonly stuck: readonly StuckRow[]
}

export interface StuckRow {
  readonly table: string
  readonly id: string
  readonly sqlstate: string
}

/**
 * Instances first: what they held is then over. Each is a statement, so that one that fails takes nothing from the
 * others. Several servers may do it at once; each row is taken by one.
 */
const sweeps = {
  instances: `select sync.sweep_instances() as swept, '[]'::jsonb as stuck`,
  leases: 'select swept, stuck from sync.sweep_leases()',
  pipelines: 'select swept, stuck from sync.sweep_pipelines()',
} as const
const kinds = ['instances', 'leases', 'pipelines'] as const

export interface SweepOptions {
  readonly pool: pg.Pool
  readonly clock: Clock
  readonly triggeredBy?: string
  /** Takes back what it did, and only says what it would have been. */
  readonly dryRun?: boolean
}

/**
 * Takes back work of instances that are silent and of leases that ran out. Throws the first error after it has tried
 * all.
 */
export async function sweepWork({
  pool,
  clock,
  triggeredBy = 'schedule',
  dryRun = false,
}: SweepOptions): Promise<Swept> {
  const errors: unknown[] = []
  const swept = await recordEffect(
    {
      pool,
      clock,
      kind: 'lease_sweep',
      dryRun,
      triggeredBy,
      affected: ({ instances, leases, pipelines }) => instances + leases + pipelines,
      details: (done) => done,
    },
    async () => {
      const done = { instances: 0, leases: 0, pipelines: 0 }
      const stuck: StuckRow[] = []
      const sweep = async (client: Pick<pg.Pool, 'query'>): Promise<void> => {
        for (const kind of kinds) {
          try {
            const { rows } = await client.query<{ swept: number; stuck: StuckRow[] }>(sweeps[kind])
            done[kind] = rows[0]?.swept ?? 0
            stuck.push(...(rows[0]?.stuck ?? []))
          } catch (error) {
            errors.push(error)
          }
        }
      }
      if (dryRun) await inOneTransaction(pool, sweep, { end: 'rollback' })
      else await sweep(pool)
      return { ...done, stuck }
    },
  )
  if (errors.length > 0) throw errors[0]
  return swept
}

/** The sweep of a server: one round at each call, told to the log. A row that stays stuck is named once. */
export function createSweepRound({
  pool,
  clock,
  log,
}: {
  readonly pool: pg.Pool
  readonly clock: Clock
  readonly log: Pick<Log, 'info' | 'error'>
}): () => Promise<void> {
  let told: ReadonlySet<string> = new Set()
  return async () => {
    const { instances, leases, pipelines, stuck } = await sweepWork({ pool, clock })
    if (instances + leases + pipelines > 0) log.info('Work was taken back', { instances, leases, pipelines })
    for (const row of stuck) if (!told.has(row.id)) log.error('Work could not be taken back', { ...row })
    told = new Set(stuck.map(({ id }) => id))
  }
}
