import { bigint, boolean, enumeration, integer, interval, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** Retention as data; rows in 5.2. */
export const retentionPolicies = defineTable({
  table: 'retention_policies',
  module: 'maintenance',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    organizationId: reference('organizations', 'cascade').nullable(),
    name: text().len(1, 120),
    tableName: text(),
    timeColumn: text(),
    condition: enumeration(['none', 'expired', 'soft_deleted', 'terminal', 'read', 'stopped']).default('none'),
    keepFor: interval().nullable(),
    action: enumeration(['keep', 'delete', 'summarize_then_delete', 'archive_then_delete']),
    summaryTable: text().nullable(),
    archiveTarget: text().nullable(),
    batchSize: integer().between(1, 100000).default(5000),
    isEnabled: boolean().default(true),
    legalHold: boolean().default(false),
    sourceNote: text().nullable(),
    lastRunAt: timestamp().nullable(),
    lastAffected: bigint().nullable(),
  },
  indexes: [unique(['organizationId', 'name'], { nullsNotDistinct: true }), index(['tableName'])],
  checks: {
    period: "action = 'keep' or condition = 'expired' or keep_for is not null",
  },
})
