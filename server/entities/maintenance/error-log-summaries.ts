import { bigint, date, integer, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

export const errorLogSummaries = defineTable({
  table: 'error_log_summaries',
  module: 'maintenance',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    organizationId: reference('organizations', 'cascade').nullable(),
    summaryDate: date(),
    category: text(),
    code: integer(),
    count: bigint().min(0).default(0),
    unrecoverableCount: bigint().default(0),
  },
  indexes: [
    unique(['organizationId', 'summaryDate', 'category', 'code'], { nullsNotDistinct: true }),
    index(['summaryDate']),
  ],
})
