import { integer, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { unique } from '../indexes.ts'
import { systemRecordColumns } from '../mixins.ts'

/** Every value list, with labels, for clients older than a value. */
export const enumValues = defineTable({
  table: 'enum_values',
  module: 'maintenance',
  direction: 'ro',
  policy: 'server',
  scope: { kind: 'global' },
  columns: {
    ...systemRecordColumns(),
    enumName: text(),
    value: text(),
    label: text(),
    description: text().nullable(),
    sortOrder: integer().default(0),
    sinceSchema: integer().default(1),
    deprecatedAt: timestamp().nullable(),
  },
  indexes: [unique(['enumName', 'value'])],
})
