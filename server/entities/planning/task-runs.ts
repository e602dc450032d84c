import {
  bigint,
  boolean,
  enumeration,
  integer,
  interval,
  json,
  numeric,
  reference,
  text,
  timestamp,
} from '../column.ts'
import { defineTable } from '../define.ts'
import { priority, runStatus } from '../enums.ts'
import { index, unique } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

/** One execution attempt or agent call (agent_tasks). */
export const taskRuns = defineTable({
  table: 'task_runs',
  module: 'planning',
  direction: 'rw',
  policy: 'merge',
  writers: ['agent'],
  scope: {
    kind: 'columns',
    columns: [
      { scope: 'project', column: 'projectId' },
      { scope: 'agent', column: 'agentId' },
    ],
    fallback: 'organization',
  },
  columns: {
    ...recordColumns(),
    projectId: reference('projects', 'cascade').nullable(),
    taskId: reference('tasks', 'cascade').nullable(),
    agentId: reference('agents', 'set null').nullable(),
    agentInstanceId: reference('agent_instances', 'set null').nullable(),
    sessionId: reference('agent_sessions', 'set null').nullable(),
    promptId: reference('prompts', 'set null').nullable(),
    attempt: integer().min(1).default(1),
    externalTaskId: text().len(1, 100).nullable(),
    prompt: text().default(''),
    context: json().default({}),
    status: enumeration(runStatus).default('pending'),
    priority: enumeration(priority).default('medium'),
    model: text().nullable(),
    inputTokens: bigint().min(0).nullable(),
    outputTokens: bigint().min(0).nullable(),
    tokensUsed: bigint().generated('coalesce(input_tokens, 0) + coalesce(output_tokens, 0)'),
    costEstimate: numeric(12, 4).min(0).nullable(),
    actualCost: numeric(18, 8).min(0).nullable(),
    resourceUsage: json().default({}),
    result: json().nullable(),
    errorCode: integer().nullable(),
    errorMessage: text().nullable(),
    isRecoverable: boolean().default(true),
    automated: boolean().default(true),
    queuedAt: timestamp().nullable(),
    startedAt: timestamp().nullable(),
    finishedAt: timestamp().nullable(),
    duration: interval().generated('finished_at - started_at'),
  },
  classes: {
    fixed: ['projectId', 'taskId', 'attempt'],
    server: ['actualCost'],
  },
  guards: {
    agentId: { kind: 'author', of: 'agent' },
  },
  indexes: [
    unique(['externalTaskId']),
    index(['status', 'priority', 'createdAt']),
    index(['agentId', 'createdAt']),
    index(['taskId', 'attempt']),
  ],
})
