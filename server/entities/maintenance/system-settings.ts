import { json, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** Embedding dimension and model, schema version, thresholds. */
export const systemSettings = defineTable({
  table: 'system_settings',
  module: 'maintenance',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    key: text().check("{} ~ '^[a-z][a-z0-9_.]{1,79}$'"),
    value: json(),
    description: text().nullable(),
    updatedByUserId: reference('users', 'set null').nullable(),
  },
  indexes: [unique(['key'])],
})
