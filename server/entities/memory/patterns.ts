import { enumeration, integer, json, numeric, reference, text, textArray, timestamp, vector } from '../column.ts'
import { defineTable } from '../define.ts'
import { gin, hnsw, index, trigram } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** Learned development and learning patterns. */
export const patterns = defineTable({
  table: 'patterns',
  module: 'memory',
  direction: 'rw',
  policy: 'merge',
  writers: ['member', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }], fallback: 'organization' },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade').nullable(),
    name: text().len(1, 200),
    kind: enumeration([
      'architecture',
      'code',
      'workflow',
      'failure',
      'cost',
      'performance',
      'collaboration',
      'learning',
    ]),
    status: enumeration(['candidate', 'validated', 'deprecated']).default('candidate'),
    description: text().nullable(),
    problem: text().nullable(),
    solution: text().nullable(),
    context: json().default({}),
    examples: json().default([]),
    applicability: json().default({}),
    tags: textArray().default([]),
    occurrenceCount: integer().default(0),
    successCount: integer().default(0),
    failureCount: integer().default(0),
    successRate: numeric(5, 4).generated(
      'case when success_count + failure_count > 0 then round(success_count::numeric / (success_count + failure_count)::numeric, 4) else null::numeric end',
    ),
    confidence: numeric(4, 3).between(0, 1).default(0.5),
    knowledgeEntryId: reference('knowledge_entries', 'set null').nullable(),
    embedding: vector().nullable(),
    embeddingModel: text().nullable(),
    firstSeenAt: timestamp().nullable(),
    lastSeenAt: timestamp().nullable(),
  },
  classes: {
    counter: ['occurrenceCount', 'successCount', 'failureCount'],
    text3: ['solution'],
  },
  indexes: [index(['organizationId', 'kind', 'status']), gin(['tags']), trigram('name'), hnsw('embedding')],
})
