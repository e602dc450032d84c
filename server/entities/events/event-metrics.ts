import { bigint, double, integer, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { systemLogColumns } from '../mixins.ts'

/** One row per window, source and type. */
export const eventMetrics = defineTable({
  table: 'event_metrics',
  module: 'events',
  direction: 'server',
  policy: 'append',
  columns: {
    ...systemLogColumns(),
    windowSeconds: integer().default(60),
    source: text(),
    type: text(),
    publishedCount: bigint().default(0),
    deliveredCount: bigint().default(0),
    failedCount: bigint().default(0),
    retriedCount: bigint().default(0),
    backlog: bigint().default(0),
    latencyAvgMs: double().nullable(),
    latencyP95Ms: double().nullable(),
    latencyMaxMs: double().nullable(),
  },
  indexes: [index(['source', 'type', 'occurredAt']), index(['organizationId', 'occurredAt'])],
})
