import { enumeration, integer, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { runStatus } from '../enums.ts'
import { index, unique } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

export const pipelineStepExecutions = defineTable({
  table: 'pipeline_step_executions',
  module: 'pipelines',
  direction: 'ro',
  policy: 'server',
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...recordColumns(),
    projectId: reference('projects', 'cascade'),
    executionId: reference('pipeline_executions', 'cascade'),
    stepId: reference('pipeline_steps', 'set null').nullable(),
    stepName: text(),
    position: integer().default(0),
    attempt: integer().default(1),
    status: enumeration(runStatus).default('pending'),
    agentId: reference('agents', 'set null').nullable(),
    taskRunId: reference('task_runs', 'set null').nullable(),
    exitCode: integer().nullable(),
    logTail: text().len(0, 65536).nullable(),
    logUri: text().nullable(),
    outputs: json().nullable(),
    startedAt: timestamp().nullable(),
    finishedAt: timestamp().nullable(),
    errorMessage: text().nullable(),
  },
  indexes: [unique(['executionId', 'stepName', 'attempt']), index(['stepId']), index(['status'])],
})
