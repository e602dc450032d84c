import type { Figure } from './report.ts'
import type { Stand } from './stand/stand.ts'

/** What a workload has to work with. */
export interface Bench {
  readonly stand: Stand
  /** Tells what is being done; on standard error. */
  readonly progress: (line: string) => void
  /** A limit that several workloads show is measured once in a run. */
  readonly once: (name: string, measure: () => Promise<number>) => Promise<number>
}

/** One row of the table of docs/performance.md, or a few that are measured together. */
export interface Workload {
  readonly name: string
  readonly title: string
  /** It measures what only a real Postgres has. */
  readonly needsPostgres?: true
  /**
   * How often it is run, each time with a fresh server, because it is too short for one run to tell. The median counts.
   * Absent: once.
   */
  readonly runs?: number
  /** Milliseconds after which a run has failed; 240,000 when absent. */
  readonly deadlineMs?: number
  run(bench: Bench): Promise<readonly Figure[]>
}
