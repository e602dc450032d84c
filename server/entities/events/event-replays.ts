import { bigint, boolean, enumeration, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { runStatus } from '../enums.ts'
import { index } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** Recovery and debugging. */
export const eventReplays = defineTable({
  table: 'event_replays',
  module: 'events',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    organizationId: reference('organizations', 'cascade'),
    subscriptionId: reference('event_subscriptions', 'cascade').nullable(),
    requestedByUserId: reference('users', 'set null').nullable(),
    requestedByAgentId: reference('agents', 'set null').nullable(),
    reason: enumeration(['recovery', 'debugging', 'backfill']).default('recovery'),
    fromSeq: bigint().nullable(),
    toSeq: bigint().nullable(),
    fromTime: timestamp().nullable(),
    toTime: timestamp().nullable(),
    filter: json().default({}),
    dryRun: boolean().default(false),
    status: enumeration(runStatus).default('pending'),
    eventsReplayed: bigint().default(0),
    eventsFailed: bigint().default(0),
    lastSeq: bigint().nullable(),
    errorMessage: text().nullable(),
    startedAt: timestamp().nullable(),
    finishedAt: timestamp().nullable(),
  },
  indexes: [index(['subscriptionId', 'createdAt']), index(['status'])],
  checks: {
    start: 'num_nonnulls(from_seq, from_time) >= 1',
  },
})
