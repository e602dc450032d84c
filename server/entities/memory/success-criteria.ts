import { enumeration, json, numeric, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** Outcome tracking of projects, plans, steps, tasks. */
export const successCriteria = defineTable({
  table: 'success_criteria',
  module: 'memory',
  direction: 'rw',
  policy: 'merge',
  writers: ['member', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade'),
    planId: reference('plans', 'cascade').nullable(),
    macroStepId: reference('macro_steps', 'cascade').nullable(),
    taskId: reference('tasks', 'cascade').nullable(),
    title: text().len(1, 255),
    description: text().nullable(),
    metricName: text().nullable(),
    operator: enumeration(['manual', 'lt', 'lte', 'eq', 'gte', 'gt']).default('manual'),
    targetValue: numeric(15, 4).nullable(),
    actualValue: numeric(15, 4).nullable(),
    unit: text().nullable(),
    weight: numeric(4, 3).between(0, 1).default(1),
    status: enumeration(['pending', 'met', 'not_met', 'waived']).default('pending'),
    evidence: json().default([]),
    evaluatedAt: timestamp().nullable(),
    evaluatedByUserId: reference('users', 'set null').nullable(),
    evaluatedByAgentId: reference('agents', 'set null').nullable(),
  },
  guards: {
    evaluatedByUserId: { kind: 'author', of: 'user' },
    evaluatedByAgentId: { kind: 'author', of: 'agent' },
  },
  indexes: [index(['projectId', 'status']), index(['macroStepId']), index(['taskId'])],
  checks: {
    target: "operator = 'manual' or target_value is not null",
  },
})
