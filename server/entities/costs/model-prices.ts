import { bigint, numeric, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { systemRecordColumns } from '../mixins.ts'

/** Dated prices; organization row wins over shipped row. */
export const modelPrices = defineTable({
  table: 'model_prices',
  module: 'costs',
  direction: 'ro',
  policy: 'server',
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...systemRecordColumns(),
    provider: text().len(1, 60),
    model: text().len(1, 160),
    inputCostPerMillion: numeric(12, 6).min(0),
    outputCostPerMillion: numeric(12, 6).min(0),
    cachedInputCostPerMillion: numeric(12, 6).min(0).nullable(),
    contextLimit: bigint().min(1).nullable(),
    maxOutputTokens: bigint().nullable(),
    currency: text().len(3, 3).default('USD'),
    effectiveFrom: timestamp().defaultSql('now()'),
    effectiveTo: timestamp().nullable(),
    updatedByUserId: reference('users', 'set null').nullable(),
    updatedByLabel: text().nullable(),
    notes: text().nullable(),
  },
  indexes: [
    unique(['organizationId', 'provider', 'model', 'effectiveFrom'], { nullsNotDistinct: true }),
    index(['model', 'effectiveFrom']),
  ],
  checks: {
    period: 'effective_to is null or effective_to > effective_from',
  },
})
