/** What `tidewire run` knows, by the kinds of `maintenance_runs` with hyphens, and what each does. */
export const upkeepJobs = {
  'lease-sweep': 'takes back work of silent instances and of leases that ran out',
  'memory-decay': 'lets memories fade, as every night; two runs in one night fade them twice',
  partitions: 'makes the months of the logs, and moves there what waits for them',
  prune: 'forgets what the change log need not keep, and old answers of calls',
  repricing: 'prices usage whose price came later',
} as const

export type UpkeepJob = keyof typeof upkeepJobs
