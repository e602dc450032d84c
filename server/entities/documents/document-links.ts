import { enumeration, reference, text, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** Cross-references. */
export const documentLinks = defineTable({
  table: 'document_links',
  module: 'documents',
  direction: 'rw',
  policy: 'set',
  writers: ['member', 'agent'],
  scope: { kind: 'via', parent: 'documents', column: 'documentId', channel: 'document' },
  naturalKey: ['documentId', 'targetType', 'targetDocumentId', 'targetId', 'targetUrl', 'linkKind'],
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    documentId: reference('documents', 'cascade'),
    targetType: enumeration([
      'document',
      'task',
      'plan',
      'macro_step',
      'knowledge_entry',
      'memory',
      'repository',
      'conversation',
      'url',
    ]),
    targetDocumentId: reference('documents', 'cascade').nullable(),
    targetId: uuid().nullable(),
    targetUrl: text().nullable(),
    linkKind: enumeration([
      'references',
      'depends_on',
      'implements',
      'supersedes',
      'derived_from',
      'related',
      'parent',
    ]).default('references'),
    anchor: text().nullable(),
  },
  classes: {
    fixed: ['documentId', 'targetType', 'targetDocumentId', 'targetId', 'targetUrl', 'linkKind'],
  },
  polymorphic: [{ type: 'targetType', id: 'targetId' }],
  indexes: [
    index(['documentId']),
    index(['targetDocumentId']),
    index(['targetType', 'targetId']),
    unique(['documentId', 'targetType', 'targetDocumentId', 'targetId', 'targetUrl', 'linkKind'], {
      nullsNotDistinct: true,
      where: live,
    }),
  ],
  checks: {
    target:
      "case target_type when 'document' then target_document_id is not null when 'url' then target_url is not null else target_id is not null end",
    other_document: 'target_document_id is null or target_document_id <> document_id',
  },
})
