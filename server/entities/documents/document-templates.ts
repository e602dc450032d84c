import { boolean, enumeration, integer, json, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { live, unique } from '../indexes.ts'
import { authorColumns, systemSyncedColumns } from '../mixins.ts'

export const documentTemplates = defineTable({
  table: 'document_templates',
  module: 'documents',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...systemSyncedColumns(),
    ...authorColumns(),
    key: text().check("{} ~ '^[a-z][a-z0-9_-]{1,62}$'"),
    name: text().len(1, 200),
    kind: text().default('note'),
    format: enumeration(['markdown', 'html', 'plain', 'json']).default('markdown'),
    body: text(),
    variables: json().default([]),
    revision: integer().default(1),
    isActive: boolean().default(true),
  },
  revisions: { revision: 'body' },
  classes: {
    fixed: ['key'],
    server: ['revision'],
    text3: ['body'],
  },
  indexes: [unique(['organizationId', 'key'], { nullsNotDistinct: true, where: live })],
})
