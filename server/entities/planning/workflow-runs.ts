import { enumeration, integer, json, reference, text, timestamp, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { runStatus } from '../enums.ts'
import { index } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

export const workflowRuns = defineTable({
  table: 'workflow_runs',
  module: 'planning',
  direction: 'ro',
  policy: 'server',
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }], fallback: 'organization' },
  columns: {
    ...recordColumns(),
    workflowId: reference('workflows', 'cascade'),
    projectId: reference('projects', 'cascade').nullable(),
    definitionRevision: integer(),
    status: enumeration(runStatus).default('pending'),
    triggerEventId: uuid().nullable(),
    input: json().default({}),
    output: json().nullable(),
    currentStep: text().nullable(),
    errorMessage: text().nullable(),
    startedAt: timestamp().nullable(),
    finishedAt: timestamp().nullable(),
  },
  indexes: [index(['workflowId', 'createdAt']), index(['status', 'startedAt'])],
})
