import { bytea, enumeration, integer, json, reference, text, textArray, timestamp, tsvector } from '../column.ts'
import { defineTable } from '../define.ts'
import { gin, index, trigram, unique } from '../indexes.ts'
import { authorColumns, scopeColumns, syncedColumns } from '../mixins.ts'

export const documents = defineTable({
  table: 'documents',
  module: 'documents',
  direction: 'rw',
  policy: 'merge',
  writers: ['member', 'agent'],
  scope: { kind: 'row' },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    ...scopeColumns(),
    documentTemplateId: reference('document_templates', 'set null').nullable(),
    macroStepId: reference('macro_steps', 'set null').nullable(),
    taskId: reference('tasks', 'set null').nullable(),
    title: text().len(1, 255),
    path: text().len(1, 500).nullable(),
    kind: enumeration([
      'readme',
      'prd',
      'architecture',
      'adr',
      'spec',
      'guide',
      'api',
      'report',
      'note',
      'other',
    ]).default('note'),
    format: enumeration(['markdown', 'html', 'plain', 'json']).default('markdown'),
    status: enumeration(['draft', 'in_review', 'published', 'archived']).default('draft'),
    content: text().default(''),
    contentHash: bytea().generated("digest(content, 'sha256')"),
    headVersionId: reference('document_versions', 'set null').nullable(),
    revision: integer().default(0),
    summary: text().nullable(),
    tags: textArray().default([]),
    searchVector: tsvector().generated(
      "setweight(to_tsvector('english'::regconfig, title), 'A') || setweight(to_tsvector('english'::regconfig, left(content, 250000)), 'B')",
    ),
    publishedAt: timestamp().nullable(),
    metadata: json().default({}),
  },
  stamps: {
    publishedAt: { when: "{}.status = 'published'", keep: true },
  },
  classes: {
    text3: ['content'],
    server: ['headVersionId', 'revision', 'publishedAt'],
  },
  indexes: [
    unique(['organizationId', 'projectId', 'path'], { where: 'deleted_at is null and path is not null' }),
    index(['projectId', 'kind', 'status']),
    index(['taskId']),
    index(['macroStepId']),
    gin(['searchVector']),
    gin(['tags']),
    trigram('title'),
  ],
})
