import { boolean, enumeration, integer, json, numeric, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

/** Skills and resources of an agent. */
export const agentCapabilities = defineTable({
  table: 'agent_capabilities',
  module: 'agents',
  direction: 'rw',
  policy: 'set',
  writers: ['admin', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  naturalKey: ['agentId', 'kind', 'name'],
  columns: {
    ...syncedColumns(),
    agentId: reference('agents', 'cascade'),
    kind: enumeration(['skill', 'tool', 'language', 'modality', 'resource', 'integration']).default('skill'),
    name: text().len(1, 120),
    proficiency: numeric(3, 2).between(0, 1).nullable(),
    resourceAmount: numeric(18, 4).nullable(),
    resourceUnit: text().nullable(),
    maxConcurrency: integer().min(1).nullable(),
    constraints: json().default({}),
    isEnabled: boolean().default(true),
    verifiedAt: timestamp().nullable(),
  },
  classes: {
    fixed: ['agentId', 'kind', 'name'],
    server: ['verifiedAt'],
  },
  indexes: [unique(['agentId', 'kind', 'name'], { where: live }), index(['kind', 'name'])],
})
