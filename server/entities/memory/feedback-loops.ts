import { enumeration, integer, json, numeric, reference, smallint, text, timestamp, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** Signal, action, outcome: continuous learning. */
export const feedbackLoops = defineTable({
  table: 'feedback_loops',
  module: 'memory',
  direction: 'rw',
  policy: 'merge',
  writers: ['member', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }], fallback: 'organization' },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade').nullable(),
    subjectType: enumeration([
      'task_run',
      'task',
      'message',
      'prompt',
      'pattern',
      'memory',
      'knowledge_entry',
      'cost_estimate',
      'agent',
      'pipeline_execution',
    ]),
    subjectId: uuid(),
    source: enumeration(['user', 'agent', 'test', 'metric', 'review']).default('user'),
    rating: smallint().between(-1, 5).nullable(),
    score: numeric(5, 2).nullable(),
    comment: text().nullable(),
    signal: json().default({}),
    status: enumeration(['open', 'analysing', 'applied', 'rejected', 'verified']).default('open'),
    actionTaken: text().nullable(),
    appliedToType: text().nullable(),
    appliedToId: uuid().nullable(),
    outcome: json().nullable(),
    iteration: integer().default(1),
    closedAt: timestamp().nullable(),
  },
  polymorphic: [
    { type: 'subjectType', id: 'subjectId' },
    { type: 'appliedToType', id: 'appliedToId' },
  ],
  indexes: [index(['subjectType', 'subjectId']), index(['organizationId', 'status', 'createdAt'])],
})
