import { json, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { live, unique } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

export const teams = defineTable({
  table: 'teams',
  module: 'identity',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    name: text().len(1, 120),
    slug: text().check("{} ~ '^[a-z0-9][a-z0-9-]{1,62}$'"),
    description: text().nullable(),
    leadUserId: reference('users', 'set null').nullable(),
    settings: json().default({}),
  },
  indexes: [unique(['organizationId', 'slug'], { where: live })],
})
