import type pg from 'pg'
import { usageTotalsSql } from '../../server/repositories/usage-repository.ts'

/** How a sum of usages over some days is read. */
export interface UsagePlan {
  /** Partitions that are looked at, by name. */
  readonly partitions: readonly string[]
  /** Ways in which they are read: one, the index alone. */
  readonly ways: readonly string[]
  /** Columns of the indexes that are read. */
  readonly indexes: readonly string[]
}

interface Plan {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly Plans?: readonly Plan[]
}

export async function planOfUsage(
  on: Pick<pg.ClientBase | pg.Pool, 'query'>,
  projectId: string,
  from: Date,
  to: Date,
): Promise<UsagePlan> {
  const { rows } = await on.query<{ 'QUERY PLAN': readonly { readonly Plan: Plan }[] }>(
    `explain (format json) ${usageTotalsSql}`,
    [projectId, from, to],
  )
  const scans = rows.flatMap((row) => row['QUERY PLAN'].flatMap(({ Plan: plan }) => scansIn(plan)))
  const { rows: indexes } = await on.query<{ definition: string }>(
    `select distinct regexp_replace(indexdef, '^.* USING ', '') as definition from pg_indexes where schemaname = 'sync' and indexname = any ($1)`,
    [scans.map((scan) => scan['Index Name'])],
  )
  return {
    partitions: [...new Set(scans.map((scan) => scan['Relation Name'] ?? ''))].toSorted(),
    ways: [...new Set(scans.map((scan) => scan['Node Type']))],
    indexes: indexes.map(({ definition }) => definition),
  }
}

function scansIn(plan: Plan): readonly Plan[] {
  return [...(plan['Relation Name'] === undefined ? [] : [plan]), ...(plan.Plans ?? []).flatMap(scansIn)]
}
