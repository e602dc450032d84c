import { enumeration, reference, text, textArray, timestamp, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { severity } from '../enums.ts'
import { index } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

/** Real-time notices to people. */
export const notifications = defineTable({
  table: 'notifications',
  module: 'integrations',
  direction: 'rw',
  policy: 'lww',
  writers: ['self'],
  scope: { kind: 'columns', columns: [{ scope: 'user', column: 'userId' }] },
  columns: {
    ...syncedColumns(),
    userId: reference('users', 'cascade'),
    kind: text().len(1, 80),
    severity: enumeration(severity).default('info'),
    title: text().len(1, 255),
    body: text().nullable(),
    subjectType: text().nullable(),
    subjectId: uuid().nullable(),
    actionUrl: text().nullable(),
    channels: textArray().defaultSql("'{in_app}'"),
    readAt: timestamp().nullable(),
    dismissedAt: timestamp().nullable(),
    deliveredAt: timestamp().nullable(),
  },
  classes: {
    fixed: ['userId', 'kind', 'title', 'body'],
    server: ['deliveredAt'],
  },
  polymorphic: [{ type: 'subjectType', id: 'subjectId' }],
  indexes: [index(['userId', 'createdAt'], { where: 'read_at is null' }), index(['organizationId', 'createdAt'])],
})
