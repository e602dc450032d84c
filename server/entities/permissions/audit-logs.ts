import { enumeration, inet, integer, json, text, textArray, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { systemLogColumns } from '../mixins.ts'

/** Who changed what: writes, logins, permission and secret use, exports. */
export const auditLogs = defineTable({
  table: 'audit_logs',
  module: 'permissions',
  direction: 'server',
  policy: 'append',
  columns: {
    ...systemLogColumns(),
    actorUserId: uuid().nullable(),
    actorAgentId: uuid().nullable(),
    deviceId: uuid().nullable(),
    action: text().len(1, 80),
    tableName: text().nullable(),
    rowId: uuid().nullable(),
    rowVersion: integer().nullable(),
    changedColumns: textArray().default([]),
    before: json().nullable(),
    after: json().nullable(),
    outcome: enumeration(['success', 'denied', 'failed']).default('success'),
    ipAddress: inet().nullable(),
    requestId: text().nullable(),
    mutationId: uuid().nullable(),
    details: json().default({}),
  },
  indexes: [
    index(['organizationId', 'occurredAt']),
    index(['tableName', 'rowId', 'occurredAt']),
    index(['actorUserId', 'occurredAt']),
    index(['actorAgentId', 'occurredAt']),
    index(['action', 'occurredAt']),
  ],
})
