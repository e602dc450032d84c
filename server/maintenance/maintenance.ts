/**
 * The door of the room: what has to happen from time to time whether or not anybody asks (`jobs.ts` says what and when,
 * `schedule.ts` does it), and the jobs that commands do at once.
 */
import { jobsOf, type MaintenanceOptions } from './jobs.ts'
import { schedule } from './schedule.ts'

export { alone } from './alone.ts'
export { refreshAnalytics } from './analytics.ts'
export { decayMemories } from './decay.ts'
export { embeddingService } from './embedding/provider.ts'
export { checkIntegrity, readIntegrity } from './integrity.ts'
export type { Backups } from './jobs.ts'
export { ensurePartitions, monthsAhead, wantingPartitions } from './partitions.ts'
export { prune } from './prune.ts'
export { repriceUsage } from './repricing.ts'
export { applyRetention } from './retention/retention.ts'
export { reportStatements } from './statements-report.ts'
export { sweepWork } from './sweep.ts'
export { neglected, readSuccessMetrics, readSystemHealth } from './system-health.ts'

export interface Maintenance {
  /** No job begins after this; one that runs is waited for. */
  stop(): Promise<void>
}

export function startMaintenance(options: MaintenanceOptions): Maintenance {
  const ending = new AbortController()
  const stop = schedule(jobsOf(options, ending.signal), options)
  return {
    stop() {
      ending.abort()
      return stop()
    },
  }
}
