import { bigint, integer, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'

/** Epoch and pruning horizon of this database, with what identifies it (architecture.md 2). */
export const syncHeads = defineTable({
  table: 'sync_heads',
  module: 'sync',
  direction: 'server',
  policy: 'server',
  columns: {
    id: integer().check('{} = 1').primary(),
    epoch: text(),
    systemIdentifier: text(),
    timeline: integer().default(1),
    databaseOid: bigint(),
    prunedThroughSeq: bigint().default(0),
    updatedAt: timestamp().defaultSql('now()'),
  },
})
