import { boolean, integer, json, reference, text, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { logColumns } from '../mixins.ts'

/** Every tool decision, allowed or not. */
export const toolAuditLogs = defineTable({
  table: 'tool_audit_logs',
  module: 'permissions',
  direction: 'up',
  policy: 'append',
  writers: ['agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }], fallback: 'organization' },
  columns: {
    ...logColumns(),
    projectId: reference('projects', 'set null').nullable(),
    agentId: reference('agents', 'set null').nullable(),
    agentLabel: text().default(''),
    toolName: text().len(1, 100),
    operation: text().len(1, 100),
    allowed: boolean(),
    denialReason: text().nullable(),
    parameters: json().nullable(),
    result: json().nullable(),
    taskId: uuid().nullable(),
    durationMs: integer().nullable(),
    permissionId: uuid().nullable(),
  },
  redacted: ['parameters', 'result'],
  guards: {
    agentId: { kind: 'author', of: 'agent' },
  },
  indexes: [
    index(['occurredAt']),
    index(['projectId', 'occurredAt']),
    index(['agentId', 'occurredAt']),
    index(['projectId', 'agentId']),
    index(['toolName', 'occurredAt']),
    index(['organizationId', 'occurredAt']),
  ],
})
