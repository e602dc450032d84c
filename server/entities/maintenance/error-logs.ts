import { boolean, enumeration, integer, json, reference, text, timestamp, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { severity } from '../enums.ts'
import { index } from '../indexes.ts'
import { systemLogColumns } from '../mixins.ts'

export const errorLogs = defineTable({
  table: 'error_logs',
  module: 'maintenance',
  direction: 'up',
  policy: 'append',
  writers: ['agent', 'member'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...systemLogColumns(),
    code: integer(),
    category: text().len(1, 50),
    severity: enumeration(severity).default('error'),
    message: text(),
    technicalDetail: text().nullable(),
    context: json().default({}),
    fingerprint: text().nullable(),
    projectId: reference('projects', 'set null').nullable(),
    agentId: reference('agents', 'set null').nullable(),
    agentLabel: text().default(''),
    taskId: reference('tasks', 'set null').nullable(),
    userId: uuid().nullable(),
    isRecoverable: boolean().default(true),
    recoveredAt: timestamp().nullable(),
  },
  indexes: [
    index(['code', 'occurredAt']),
    index(['category', 'occurredAt']),
    index(['projectId', 'occurredAt']),
    index(['occurredAt']),
    index(['agentId']),
    index(['taskId']),
    index(['fingerprint', 'occurredAt']),
    index(['organizationId', 'occurredAt']),
  ],
})
