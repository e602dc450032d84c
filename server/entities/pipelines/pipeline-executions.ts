import { enumeration, integer, interval, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { runStatus } from '../enums.ts'
import { index, unique } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

export const pipelineExecutions = defineTable({
  table: 'pipeline_executions',
  module: 'pipelines',
  direction: 'ro',
  policy: 'server',
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...recordColumns(),
    projectId: reference('projects', 'cascade'),
    pipelineId: reference('pipelines', 'cascade'),
    runNumber: integer(),
    definitionRevision: integer(),
    status: enumeration(runStatus).default('pending'),
    triggerKind: text(),
    triggeredByUserId: reference('users', 'set null').nullable(),
    triggeredByAgentId: reference('agents', 'set null').nullable(),
    branch: text().nullable(),
    commitSha: text().nullable(),
    inputs: json().default({}),
    outputs: json().nullable(),
    gateStatus: enumeration(['none', 'passed', 'failed', 'waived']).default('none'),
    queuedAt: timestamp().defaultSql('now()'),
    startedAt: timestamp().nullable(),
    finishedAt: timestamp().nullable(),
    duration: interval().generated('finished_at - started_at'),
    errorMessage: text().nullable(),
  },
  indexes: [unique(['pipelineId', 'runNumber']), index(['status', 'startedAt']), index(['projectId', 'createdAt'])],
})
