import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { alone } from './alone.ts'
import { recordEffect } from './runs.ts'

/** Statements that say as `n` how many rows they wrote, by the table they write to. */
const rollups = {
  event_metrics: 'select sync.summarise_events() as n',
  agents: 'select sync.refresh_agent_stats() as n',
  'agents.usage_stats': 'select sync.refresh_usage_stats() as n',
  cost_models: 'select sync.train_cost_models() as n',
} as const

/**
 * Sums up events per minute, and the runs and the usage of agents, and lets cost models learn. One that fails does not
 * keep the other from being done; the first error is thrown.
 */
export async function rollUp({ pool, clock }: { readonly pool: pg.Pool; readonly clock: Clock }): Promise<void> {
  const one = ([into, text]: [string, string]): Promise<number> =>
    recordEffect({ pool, clock, kind: 'rollup', affected: (n) => n, details: () => ({ into }) }, async () => {
      const { rows } = await pool.query<{ n: number }>(text)
      return rows[0]?.n ?? 0
    })
  await alone(pool, 'rollup', async () => {
    const done = await Promise.allSettled(Object.entries(rollups).map(one))
    for (const result of done) if (result.status === 'rejected') throw result.reason
  })
}
