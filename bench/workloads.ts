import type { Workload } from './workload.ts'
import { captureBulk } from './workloads/capture-bulk.ts'
import { captureRate } from './workloads/capture-rate.ts'
import { catchUp } from './workloads/catch-up.ts'
import { fanOut } from './workloads/fan-out.ts'
import { firstSync } from './workloads/first-sync.ts'
import { firstSyncPglite } from './workloads/first-sync-pglite.ts'
import { idleMemory } from './workloads/idle-memory.ts'
import { live1 } from './workloads/live-1.ts'
import { live100 } from './workloads/live-100.ts'
import { live1000 } from './workloads/live-1000.ts'
import { machine } from './workloads/machine.ts'
import { model } from './workloads/model.ts'
import { mutations } from './workloads/mutations.ts'
import { open } from './workloads/open.ts'
import { sendMemory } from './workloads/send-memory.ts'
import { writeCost } from './workloads/write-cost.ts'

/** All of them, in the order in which they run. Write cost comes first: later ones leave a slot and a log behind. */
export const workloads: readonly Workload[] = [
  writeCost,
  machine,
  live1,
  live100,
  live1000,
  fanOut,
  firstSync,
  firstSyncPglite,
  catchUp,
  mutations,
  idleMemory,
  open,
  sendMemory,
  captureBulk,
  captureRate,
  model,
]
