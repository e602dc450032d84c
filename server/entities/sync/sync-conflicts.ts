import { boolean, enumeration, integer, json, reference, text, timestamp, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

/** Also in the channels of the row concerned when its members may resolve it. */
export const syncConflicts = defineTable({
  table: 'sync_conflicts',
  module: 'sync',
  direction: 'rw',
  policy: 'lww',
  writers: ['self', 'agent', 'admin'],
  scope: { kind: 'conflict_home' },
  // A later write of the same columns joins an open conflict, which then holds the newer losing value.
  openWhile: "old.status = 'open'",
  columns: {
    ...recordColumns(),
    deviceId: reference('devices', 'set null').nullable(),
    userId: reference('users', 'cascade').nullable(),
    agentId: reference('agents', 'cascade').nullable(),
    mutationId: uuid(),
    tableName: text(),
    rowId: uuid(),
    kind: enumeration([
      'field',
      'delete_update',
      'update_delete',
      'unique',
      'foreign_key',
      'transition',
      'permission',
      'schema',
      'text',
    ]),
    baseVersion: integer().nullable(),
    serverVersion: integer().nullable(),
    fields: json().default({}),
    clientPatch: json().default({}),
    status: enumeration(['open', 'resolved', 'dismissed']).default('open'),
    resolution: enumeration(['client', 'server', 'merged', 'manual', 'auto']).nullable(),
    resolvedPatch: json().nullable(),
    resolvedByUserId: reference('users', 'set null').nullable().author(),
    resolvedByAgentId: reference('agents', 'set null').nullable().author(),
    resolvedAt: timestamp().nullable(),
    note: text().nullable(),
    mobileVisible: boolean().default(true),
  },
  classes: {
    fixed: [
      'deviceId',
      'userId',
      'agentId',
      'mutationId',
      'tableName',
      'rowId',
      'kind',
      'baseVersion',
      'serverVersion',
      'fields',
      'clientPatch',
    ],
    server: ['resolvedAt', 'mobileVisible'],
  },
  indexes: [
    unique(['mutationId', 'kind']),
    index(['tableName', 'rowId'], { where: "status = 'open'" }),
    index(['organizationId', 'status', 'createdAt']),
    index(['deviceId', 'status']),
  ],
  checks: {
    status_resolved_at: "status = 'open' or resolved_at is not null",
    principal: 'num_nonnulls(user_id, agent_id) = 1',
  },
})
