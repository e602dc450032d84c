import { bigint, integer, json, numeric, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { logColumns } from '../mixins.ts'

/** Actual consumption, recorded offline too; cost computed on receipt. */
export const tokenUsages = defineTable({
  table: 'token_usages',
  module: 'costs',
  direction: 'up',
  policy: 'append',
  writers: ['agent', 'member'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }], fallback: 'organization' },
  columns: {
    ...logColumns(),
    projectId: reference('projects', 'set null').nullable(),
    taskId: reference('tasks', 'set null').nullable(),
    taskRunId: reference('task_runs', 'set null').nullable(),
    macroStepId: reference('macro_steps', 'set null').nullable(),
    agentId: reference('agents', 'set null').nullable(),
    agentLabel: text().default(''),
    userId: reference('users', 'set null').nullable(),
    conversationId: reference('conversations', 'set null').nullable(),
    credentialId: reference('credentials', 'set null').nullable(),
    provider: text().default('openrouter'),
    model: text().len(1, 160),
    inputTokens: bigint().min(0),
    outputTokens: bigint().min(0),
    cachedInputTokens: bigint().min(0).default(0),
    reasoningTokens: bigint().min(0).default(0),
    totalTokens: bigint().generated('input_tokens + output_tokens'),
    modelPriceId: reference('model_prices', 'set null').nullable(),
    costUsd: numeric(18, 8).min(0).nullable(),
    requestId: text().nullable(),
    purpose: text().nullable(),
    latencyMs: integer().nullable(),
    metadata: json().default({}),
  },
  classes: {
    server: ['costUsd', 'modelPriceId', 'credentialId'],
  },
  guards: {
    agentId: { kind: 'author', of: 'agent' },
    userId: { kind: 'author', of: 'user' },
  },
  indexes: [
    index(['occurredAt']),
    index(['agentId', 'occurredAt']),
    index(['projectId', 'agentId']),
    index(['model', 'occurredAt']),
    index(['organizationId', 'occurredAt']),
    index(['projectId', 'occurredAt'], { include: ['agentId', 'model', 'inputTokens', 'outputTokens', 'costUsd'] }),
    index(['taskRunId']),
    index(['requestId'], { where: 'request_id is not null' }),
    index(['provider', 'model', 'occurredAt'], { where: 'cost_usd is null' }),
  ],
})
