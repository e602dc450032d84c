import { enumeration, json, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

/** One row per project, the point of resumption after a crash. */
export const projectStates = defineTable({
  table: 'project_states',
  module: 'projects',
  direction: 'rw',
  policy: 'lww',
  writers: ['member', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  naturalKey: ['projectId'],
  columns: {
    ...syncedColumns(),
    projectId: reference('projects', 'cascade'),
    currentTaskId: reference('tasks', 'set null').nullable(),
    currentAgentId: reference('agents', 'set null').nullable(),
    lastAction: text().nullable(),
    status: enumeration(['active', 'paused', 'waiting', 'blocked', 'recovering', 'completed', 'failed']).default(
      'active',
    ),
    checkpoint: json().default({}),
    metadata: json().default({}),
  },
  classes: {
    fixed: ['projectId'],
  },
  indexes: [unique(['projectId']), index(['status'])],
})
