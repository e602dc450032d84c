import { enumeration, integer, json, text, textArray } from '../column.ts'
import { defineTable } from '../define.ts'
import { unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** Registry generated from code, sent in the handshake: scope rule, direction, writers, policy, column classes. */
export const syncTables = defineTable({
  table: 'sync_tables',
  module: 'sync',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    tableName: text(),
    module: text(),
    scopeRule: text(),
    direction: enumeration(['rw', 'ro', 'up', 'server', 'local']),
    writeRoles: textArray().default([]),
    conflictPolicy: enumeration(['merge', 'lww', 'append', 'set', 'server']),
    columnClasses: json().default({}),
    sinceSchema: integer().default(1),
    untilSchema: integer().nullable(),
  },
  indexes: [unique(['tableName'])],
})
