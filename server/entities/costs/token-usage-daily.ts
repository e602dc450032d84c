import { bigint, date, numeric, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** What remains after the detail rows expire; views over usage history read both. */
export const tokenUsageDaily = defineTable({
  table: 'token_usage_daily',
  module: 'costs',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    organizationId: reference('organizations', 'cascade'),
    usageDate: date(),
    projectId: reference('projects', 'set null').nullable(),
    agentId: reference('agents', 'set null').nullable(),
    provider: text(),
    model: text(),
    requestCount: bigint().default(0),
    inputTokens: bigint().default(0),
    outputTokens: bigint().default(0),
    costUsd: numeric(20, 8).default(0),
  },
  indexes: [
    unique(['organizationId', 'usageDate', 'projectId', 'agentId', 'provider', 'model'], { nullsNotDistinct: true }),
    index(['projectId', 'usageDate']),
  ],
})
