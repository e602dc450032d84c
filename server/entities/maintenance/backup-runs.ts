import { bigint, boolean, bytea, enumeration, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

export const backupRuns = defineTable({
  table: 'backup_runs',
  module: 'maintenance',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    kind: enumeration(['full', 'schema_only', 'restore_test']),
    status: enumeration(['running', 'completed', 'failed']).default('running'),
    startedAt: timestamp().defaultSql('now()'),
    finishedAt: timestamp().nullable(),
    location: text().nullable(),
    sizeBytes: bigint().nullable(),
    sha256: bytea().nullable(),
    isEncrypted: boolean().default(true),
    keyId: text().nullable(),
    expiresAt: timestamp().nullable(),
    deletedAt: timestamp().nullable(),
    rowCounts: json().default({}),
    testedBackupId: reference('backup_runs', 'set null').nullable(),
    errorMessage: text().nullable(),
  },
  indexes: [index(['kind', 'startedAt']), index(['expiresAt'])],
})
