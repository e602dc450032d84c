import { enumeration, integer, json, text, textArray, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { logColumns } from '../mixins.ts'

/** History of every memory; deliberately NO foreign key on memory_id, so it survives deletes. */
export const memoryLogs = defineTable({
  table: 'memory_logs',
  module: 'memory',
  direction: 'server',
  policy: 'append',
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...logColumns(),
    memoryId: uuid(),
    action: enumeration([
      'created',
      'updated',
      'accessed',
      'reinforced',
      'decayed',
      'promoted',
      'demoted',
      'superseded',
      'merged',
      'archived',
      'restored',
      'expired',
      'deleted',
      'purged',
    ]),
    actorUserId: uuid().nullable(),
    actorAgentId: uuid().nullable(),
    scope: text().nullable(),
    memoryVersion: integer().nullable(),
    changedColumns: textArray().default([]),
    before: json().nullable(),
    after: json().nullable(),
    reason: text().nullable(),
    conversationId: uuid().nullable(),
    mutationId: uuid().nullable(),
  },
  indexes: [
    index(['memoryId', 'occurredAt']),
    index(['organizationId', 'action', 'occurredAt']),
    index(['actorAgentId', 'occurredAt']),
  ],
})
