import { enumeration, integer, json, numeric, reference, text, timestamp, tsvector } from '../column.ts'
import { defineTable } from '../define.ts'
import { messageRole } from '../enums.ts'
import { gin, index, unique } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** Only status and deletion change after the first insert. */
export const messages = defineTable({
  table: 'messages',
  module: 'conversations',
  direction: 'rw',
  policy: 'append',
  writers: ['member', 'agent', 'self'],
  scope: { kind: 'via', parent: 'conversations', column: 'conversationId', channel: 'conversation' },
  openWhile: "old.status in ('pending', 'streaming')",
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    conversationId: reference('conversations', 'cascade'),
    parentMessageId: reference('messages', 'set null').nullable(),
    position: integer().nullable(),
    role: enumeration(messageRole),
    senderUserId: reference('users', 'set null').nullable(),
    senderAgentId: reference('agents', 'set null').nullable(),
    content: text().default(''),
    contentParts: json().default([]),
    toolName: text().nullable(),
    toolCallId: text().nullable(),
    toolCalls: json().default([]),
    status: enumeration(['pending', 'streaming', 'complete', 'failed', 'redacted']).default('complete'),
    model: text().nullable(),
    finishReason: text().nullable(),
    inputTokens: integer().min(0).nullable(),
    outputTokens: integer().min(0).nullable(),
    costUsd: numeric(18, 8).nullable(),
    latencyMs: integer().min(0).nullable(),
    sentAt: timestamp().defaultSql('now()'),
    metadata: json().default({}),
    searchVector: tsvector().generated("to_tsvector('english'::regconfig, left(content, 250000))"),
  },
  classes: {
    fixed: ['conversationId', 'role', 'content', 'contentParts', 'toolCalls', 'sentAt'],
    server: ['position', 'costUsd'],
    lww: ['status'],
  },
  guards: {
    senderUserId: { kind: 'author', of: 'user' },
    senderAgentId: { kind: 'author', of: 'agent' },
    status: { kind: 'host', own: ['senderUserId', 'senderAgentId', 'createdByUserId', 'createdByAgentId'] },
    deletedAt: { kind: 'host', own: ['senderUserId', 'senderAgentId', 'createdByUserId', 'createdByAgentId'] },
  },
  indexes: [
    unique(['conversationId', 'position']),
    index(['conversationId', 'sentAt']),
    index(['parentMessageId']),
    index(['senderAgentId']),
    gin(['searchVector']),
  ],
  checks: {
    role_tool_call_id: "role <> 'tool' or tool_call_id is not null",
    sender_user_id_sender_agent_id: 'num_nonnulls(sender_user_id, sender_agent_id) <= 1',
  },
})
