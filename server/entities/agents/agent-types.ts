import { boolean, text, textArray } from '../column.ts'
import { defineTable } from '../define.ts'
import { live, unique } from '../indexes.ts'
import { systemSyncedColumns } from '../mixins.ts'

/** Open list instead of a CHECK: the seeds' type lists disagree and organizations add their own. */
export const agentTypes = defineTable({
  table: 'agent_types',
  module: 'agents',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...systemSyncedColumns(),
    key: text().check("{} ~ '^[a-z][a-z0-9_]{1,62}$'"),
    name: text().len(1, 120),
    description: text().nullable(),
    defaultCapabilities: textArray().default([]),
    isActive: boolean().default(true),
  },
  classes: {
    fixed: ['key'],
  },
  indexes: [unique(['organizationId', 'key'], { nullsNotDistinct: true, where: live })],
})
