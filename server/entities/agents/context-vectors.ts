import { enumeration, json, numeric, reference, text, timestamp, uuid, vector } from '../column.ts'
import { defineTable } from '../define.ts'
import { hnsw, index } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

/** REAL[] became pgvector; embeddings are sent only to subscriptions that ask. */
export const contextVectors = defineTable({
  table: 'context_vectors',
  module: 'agents',
  direction: 'rw',
  policy: 'append',
  writers: ['agent'],
  scope: { kind: 'columns', columns: [{ scope: 'agent', column: 'agentId' }] },
  columns: {
    ...recordColumns(),
    sessionId: reference('agent_sessions', 'cascade'),
    agentId: reference('agents', 'cascade'),
    projectId: reference('projects', 'set null').nullable(),
    contextType: enumeration(['semantic', 'collaborative', 'task']).default('semantic'),
    content: text().nullable(),
    sourceTable: text().nullable(),
    sourceId: uuid().nullable(),
    embedding: vector(),
    embeddingModel: text(),
    confidenceScore: numeric(3, 2).between(0, 1).nullable(),
    expiresAt: timestamp().nullable(),
    metadata: json().default({}),
  },
  polymorphic: [{ type: 'sourceTable', id: 'sourceId' }],
  indexes: [
    index(['sessionId', 'createdAt']),
    index(['agentId', 'contextType']),
    index(['expiresAt'], { where: 'expires_at is not null' }),
    hnsw('embedding'),
  ],
})
