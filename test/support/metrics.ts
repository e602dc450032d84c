// The metrics of a server that does nothing: for their names, and for tests that feed them by hand.
import { createMetrics, type HubFigures, type Metrics, type Sources } from '../../server/telemetry/metrics.ts'
import type { Readings } from '../../server/telemetry/health.ts'

export const quietHub: HubFigures = {
  sessionsByState: { idle: 0, behind: 0, live: 0, stalled: 0, ended: 0 },
  subscriptions: 0,
  bootstraps: 0,
  position: 0,
  steps: 0,
  batches: 0,
  bytes: 0,
  sharedFrames: 0,
  catchUps: 0,
  pages: 0,
  lastCanaryAt: null,
}

/** A healthy server that captures by trigger. */
export const healthy: Readings = {
  databaseMs: 3,
  database: { head: 42, oldestSeconds: 60, keepSeconds: 90 * 86_400, openConflicts: 0 },
  slot: null,
  captureLagMs: null,
  canaryAgeMs: 1200,
  uptimeMs: 60_000,
  poolWaiting: 0,
  poolSize: 30,
  redis: null,
  neglected: [],
}

export function metricsOfNobody(sources: Partial<Sources> = {}): Metrics {
  return createMetrics({
    readings: () => Promise.resolve(healthy),
    connections: () => 0,
    pools: () => ({ main: { totalCount: 0, idleCount: 0, waitingCount: 0, options: { max: 30 } } }),
    node: 'a1b2c3d4e5f60718',
    version: '1.2.3',
    hub: () => quietHub,
    troubles: () => 0,
    ...sources,
  })
}
