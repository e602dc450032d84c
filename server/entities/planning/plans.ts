import { boolean, enumeration, integer, json, numeric, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { planStatus, priority, scalingStrategy } from '../enums.ts'
import { gin, index } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

export const plans = defineTable({
  table: 'plans',
  module: 'planning',
  direction: 'rw',
  policy: 'merge',
  writers: ['member', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade'),
    title: text().len(1, 255),
    description: text().nullable(),
    status: enumeration(planStatus).default('draft'),
    priority: enumeration(priority).default('medium'),
    assignedUserId: reference('users', 'set null').nullable(),
    assignedAgentId: reference('agents', 'set null').nullable(),
    estimatedHours: numeric(8, 2).min(0).nullable(),
    actualHours: numeric(8, 2).min(0).nullable(),
    mobileSyncEnabled: boolean().default(false),
    agentCount: integer().min(1).default(1),
    scalingStrategy: enumeration(scalingStrategy).default('fixed'),
    deadline: timestamp().nullable(),
    startedAt: timestamp().nullable(),
    completedAt: timestamp().nullable(),
    metadata: json().default({}),
  },
  stamps: {
    completedAt: { when: "{}.status = 'completed'" },
  },
  classes: {
    fixed: ['projectId'],
    server: ['completedAt'],
  },
  indexes: [
    index(['projectId', 'status']),
    index(['deadline'], { where: 'deadline is not null' }),
    index(['mobileSyncEnabled'], { where: 'mobile_sync_enabled' }),
    gin(['metadata'], { operators: 'jsonb_path_ops' }),
  ],
  checks: {
    assigned_user_id_assigned_agent_id: 'num_nonnulls(assigned_user_id, assigned_agent_id) <= 1',
  },
})
