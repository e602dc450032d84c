import type { Schema } from '../../protocol/rows/table.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { OutboxLimits } from '../outbox/outbox.ts'
import type { TailLimits } from '../outbox/tail.ts'
import type { ReplicaStore } from '../store/store.ts'
import type { Caller } from './callers.ts'

export interface ReplicaOptions {
  readonly store: ReplicaStore
  readonly schema: Schema
  readonly clock: Clock
  readonly random: Random
  /** Ended writes that are kept, for a server that is restored from a backup. */
  readonly tail?: TailLimits | undefined
  /** Writes that may wait. */
  readonly outbox?: OutboxLimits | undefined
}

export interface WriteOptions {
  readonly group?: boolean
  readonly caller?: Caller
}
