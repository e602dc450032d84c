import { boolean, json, reference, text, textArray } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { systemSyncedColumns } from '../mixins.ts'

/** Tool access per agent type; no row means denied. */
export const agentPermissions = defineTable({
  table: 'agent_permissions',
  module: 'permissions',
  direction: 'rw',
  policy: 'lww',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  naturalKey: ['organizationId', 'agentType', 'agentId', 'toolName'],
  columns: {
    ...systemSyncedColumns(),
    agentType: text(),
    agentId: reference('agents', 'cascade').nullable(),
    toolName: text().len(1, 100),
    allowed: boolean().default(false),
    operations: textArray().default([]),
    constraints: json().default({}),
    reason: text().nullable(),
  },
  classes: {
    fixed: ['agentType', 'agentId', 'toolName'],
  },
  indexes: [
    unique(['organizationId', 'agentType', 'agentId', 'toolName'], { nullsNotDistinct: true, where: live }),
    index(['agentType']),
    index(['agentId']),
  ],
})
