/**
 * What a figure is held against: our goal, and what the two rivals that sync from Postgres reached on a machine like
 * this.
 */
export interface Target {
  readonly better: 'lower' | 'higher'
  /** In the unit of the figure; `ofLimit`: this many times the limit measured in the same run. */
  readonly goal?: number | { readonly ofLimit: number }
  /** The best value seen of each; `null`: it never came to an end. */
  readonly zero?: number | null
  readonly powersync?: number | null
}

/**
 * By `workload.figure`. Zero 1.9.0 and PowerSync 1.25.0 were measured on the same Postgres with a narrower `tasks`
 * table of nine columns; where a range was seen, its better end stands here. docs/performance.md tells how.
 */
export const targets: Readonly<Record<string, Target>> = {
  'live-1.p50': { better: 'lower', goal: 3, zero: 9, powersync: 17 },
  'live-1.wire-p50': { better: 'lower', goal: 3, zero: 9, powersync: 17 },
  'live-100.p50': { better: 'lower', goal: 10, zero: 4000, powersync: 650 },
  'live-100.p99': { better: 'lower', goal: 40, zero: 8000, powersync: 950 },
  // Criterion 51 of the data model.
  'live-100.p50-200': { better: 'lower', goal: 250 },
  'live-1000.p50': { better: 'lower', goal: 250, zero: null, powersync: 33_000 },
  'live-1000.slow-p50': { better: 'lower', goal: { ofLimit: 1.5 } },
  'fan-out.rate': { better: 'higher', goal: 50_000, zero: 2200, powersync: 11_900 },
  'first-sync.small': { better: 'lower', goal: 0.2, zero: 1.5, powersync: 0.85 },
  'first-sync.large': { better: 'lower', goal: 1.2, zero: 10, powersync: 8.4 },
  'first-sync.bytes': { better: 'lower', goal: 20, zero: 47, powersync: 75 },
  'first-sync-pglite.large': { better: 'lower', goal: 5, powersync: 16.5 },
  'catch-up.time': { better: 'lower', goal: 0.3, zero: 3.1, powersync: 1.3 },
  'mutations.acknowledged': { better: 'lower', goal: 0.5, zero: 6.5, powersync: 10.5 },
  'mutations.seen': { better: 'lower', goal: 0.55, zero: 6.5, powersync: 16.6 },
  'idle-memory.connection': { better: 'lower', zero: 1550, powersync: 47 },
  'idle-memory.above-socket-io': { better: 'lower', goal: 6 },
  'open.time': { better: 'lower', goal: 5, zero: 50, powersync: 20 },
  'send-memory.peak': { better: 'lower', goal: 250, zero: 1400, powersync: 530 },
  'write-cost.share': { better: 'higher', goal: 95 },
  'capture-bulk.rate': { better: 'higher', goal: 40_000 },
  'capture-bulk.memory': { better: 'lower', goal: 100 },
  'model.average': { better: 'lower', goal: 10 },
  'model.p99': { better: 'lower', goal: 100 },
  'model.concurrent-wrong': { better: 'lower', goal: 0 },
  'model.usage-partitions': { better: 'lower', goal: 2 },
  'model.usage-covered': { better: 'higher', goal: 1 },
  'model.indexes-bad': { better: 'lower', goal: 0 },
  'model.indexes-times': { better: 'higher', goal: 5 },
  'capture-rate.rate': { better: 'higher', goal: 10_000, zero: 2500, powersync: 4000 },
}
