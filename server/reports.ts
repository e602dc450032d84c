/** What a server says of itself: to Prometheus, to `/ready`, and to `system_metrics`. Part of the composition root. */
import { readFileSync } from 'node:fs'
import type { Clock } from '../lib/clock.ts'
import type { TideError } from '../protocol/error.ts'
import { readSlotFigures } from './capture/capture.ts'
import type { ChangeSource } from './capture/change-source.ts'
import type { Cluster } from './cluster/cluster.ts'
import type { Config } from './config.ts'
import { concernsAll, databaseTrouble, type Database } from './db/db.ts'
import type { Gateway, Readiness } from './gateway/gateway.ts'
import type { Hub } from './hub/hub.ts'
import type { SqlFeed } from './hub/sql-feed.ts'
import { neglected, readSystemHealth } from './maintenance/maintenance.ts'
import { assess, redisFigures, watchHealth, type HealthWatch } from './telemetry/health.ts'
import { createMetrics, poolFigures, type Metrics } from './telemetry/metrics.ts'
import { averageSince, type Troubles, type Vitals } from './telemetry/telemetry.ts'

/** What the server is made of, as far as it is looked at. */
export interface Reported {
  readonly database: Database
  readonly config: Pick<Config, 'capture'>
  readonly clock: Clock
  readonly source: ChangeSource
  readonly feed: SqlFeed
  readonly cluster: Cluster
  readonly troubles: Troubles
  /** Constructed after the reports, which it needs itself. */
  readonly hub: () => Hub
  readonly gateway: () => Gateway | undefined
  readonly isClosing: () => boolean
}

export interface Reports {
  readonly health: HealthWatch
  readonly metrics: Metrics
  /** For `/ready`. */
  readonly readiness: () => Promise<Readiness>
  /** For `system_metrics`: averages are those since the call before. */
  readonly vitals: () => Promise<Vitals>
}

export const packageVersion = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { readonly version: string }
).version

export function createReports(reported: Reported): Reports {
  const { database, config, clock, source, feed, cluster, troubles, isClosing } = reported
  const { pool, watch } = database
  const { redis } = cluster
  const connections = (): number => reported.gateway()?.connections ?? 0
  const health = watchHealth({
    clock,
    query: async <R extends object>(text: string) => (await watch.query<R>(text)).rows,
    ...(config.capture === 'wal' ? { slot: () => readSlotFigures(watch) } : {}),
    canaryAgeMs: () => {
      const { lastCanaryAt } = reported.hub().stats()
      return lastCanaryAt === null ? null : clock.monotonic() - lastCanaryAt
    },
    ...(redis ? { redis: () => redisFigures(redis) } : {}),
    pool: { waiting: () => pool.waitingCount, size: pool.options.max ?? 0 },
    neglected: async () => neglected(await readSystemHealth(pool)),
  })
  const metrics = createMetrics({
    readings: () => health.read(),
    connections,
    pools: () => ({ ...database.pools, feed: feed.pool, ...(source.pool ? { capture: source.pool } : {}) }),
    node: cluster.node,
    version: packageVersion,
    hub: () => reported.hub().stats(),
    troubles: () => troubles.all.length,
  })
  const readiness = async (): Promise<Readiness> => {
    const assessed = assess(await health.read())
    return {
      ...assessed,
      ready: assessed.ready && troubles.all.length === 0 && !isClosing(),
      troubles: troubles.all,
      closing: isClosing(),
      log: source.role ?? null,
      redis: redis ? { ok: redisFigures(redis).ok } : null,
      connections: connections(),
      node: cluster.node,
      version: packageVersion,
      embedded: database.embedded,
    }
  }
  const pushMs = averageSince(metrics.totals.pushes)
  const feedLagMs = averageSince(metrics.totals.deliveries)
  const vitals = async (): Promise<Vitals> => ({
    node: cluster.node,
    ready: (await readiness()).ready,
    poolUsed: poolFigures(pool).used,
    connections: connections(),
    pushMs: pushMs(),
    feedLagMs: feedLagMs(),
    openConflicts: (await health.read()).database?.openConflicts ?? null,
  })
  return { health, metrics, readiness, vitals }
}

/**
 * What a request that failed is answered, where the database is to blame, and a trouble of the server where that is
 * everybody's. A statement that took too long is of that request alone; one that names what is not there is a bug of
 * the application's, unless the database is known to lack something: undefined.
 */
export function explainRequests(troubles: Troubles): (error: unknown) => TideError | undefined {
  return (error) => {
    const trouble = databaseTrouble(error)
    if (trouble && concernsAll(trouble)) troubles.report('requests', trouble)
    const isKnown = (): boolean => troubles.all.some(({ code }) => code === 'schema_mismatch')
    return trouble?.code === 'schema_mismatch' && !isKnown() ? undefined : trouble
  }
}
