import { bigint, boolean, enumeration, integer, json, numeric, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { conversationStatus } from '../enums.ts'
import { index, trigram } from '../indexes.ts'
import { authorColumns, scopeColumns, syncedColumns } from '../mixins.ts'

/** Also delivered to the own channel of every participant. */
export const conversations = defineTable({
  table: 'conversations',
  module: 'conversations',
  direction: 'rw',
  policy: 'merge',
  writers: ['member', 'agent', 'self'],
  scope: { kind: 'row' },
  guests: {
    table: 'conversation_participants',
    column: 'conversationId',
    by: { user: 'userId', agent: 'agentId' },
  },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    ...scopeColumns(),
    title: text().len(1, 255).nullable(),
    status: enumeration(conversationStatus).default('active'),
    medium: enumeration(['chat', 'task', 'voice', 'email', 'slack', 'api', 'agent_to_agent']).default('chat'),
    taskId: reference('tasks', 'set null').nullable(),
    sessionId: reference('agent_sessions', 'set null').nullable(),
    promptId: reference('prompts', 'set null').nullable(),
    model: text().nullable(),
    summary: text().nullable(),
    isPinned: boolean().default(false),
    messageCount: integer().default(0),
    totalTokens: bigint().default(0),
    totalCost: numeric(18, 8).default(0),
    lastMessageAt: timestamp().nullable(),
    startedAt: timestamp().defaultSql('now()'),
    endedAt: timestamp().nullable(),
    metadata: json().default({}),
  },
  stamps: {
    endedAt: { when: "{}.status in ('completed', 'archived')" },
  },
  classes: {
    server: ['messageCount', 'totalTokens', 'totalCost', 'lastMessageAt', 'endedAt'],
  },
  indexes: [
    index(['organizationId', 'status', 'lastMessageAt']),
    index(['userId', 'lastMessageAt']),
    index(['agentId', 'lastMessageAt']),
    index(['projectId']),
    index(['taskId']),
    trigram('title'),
  ],
})
