import { bigint, boolean, enumeration, json, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

export const maintenanceRuns = defineTable({
  table: 'maintenance_runs',
  module: 'maintenance',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    kind: enumeration([
      'retention',
      'partitions',
      'analytics',
      'rollup',
      'memory_decay',
      'lease_sweep',
      'embedding',
      'analyze',
      'integrity_check',
      'backup_check',
      'prune',
      'repricing',
    ]),
    status: enumeration(['running', 'completed', 'failed', 'skipped']).default('running'),
    startedAt: timestamp().defaultSql('now()'),
    finishedAt: timestamp().nullable(),
    rowsAffected: bigint().nullable(),
    dryRun: boolean().default(false),
    triggeredBy: text().default('schedule'),
    details: json().default({}),
    errorMessage: text().nullable(),
  },
  indexes: [index(['kind', 'startedAt']), index(['status'])],
})
