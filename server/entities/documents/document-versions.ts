import { bytea, integer, json, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { authorColumns, recordColumns } from '../mixins.ts'

/** One immutable row per accepted content change. */
export const documentVersions = defineTable({
  table: 'document_versions',
  module: 'documents',
  direction: 'rw',
  policy: 'append',
  writers: ['member', 'agent'],
  scope: { kind: 'via', parent: 'documents', column: 'documentId', channel: 'document' },
  columns: {
    ...recordColumns(),
    ...authorColumns(),
    documentId: reference('documents', 'cascade'),
    parentVersionId: reference('document_versions', 'set null').nullable(),
    mergedVersionId: reference('document_versions', 'set null').nullable(),
    revision: integer().nullable(),
    title: text(),
    content: text(),
    contentHash: bytea().generated("digest(content, 'sha256')"),
    changeSummary: text().nullable(),
    metadata: json().default({}),
  },
  classes: {
    fixed: ['documentId', 'content', 'parentVersionId'],
    server: ['revision'],
  },
  indexes: [unique(['documentId', 'revision']), index(['documentId', 'createdAt'])],
})
