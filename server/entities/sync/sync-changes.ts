import { bigint, enumeration, integer, text, timestamp, uuid, xid8 } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'

/** The feed: keys in commit order; partitioned by seq, no default partition. */
export const syncChanges = defineTable({
  table: 'sync_changes',
  module: 'sync',
  direction: 'server',
  policy: 'append',
  columns: {
    seq: bigint().primary(),
    ordinal: integer().primary(),
    xid: xid8().nullable(),
    occurredAt: timestamp().defaultSql('now()'),
    organizationId: uuid().nullable(),
    channel: text(),
    oldChannel: text().nullable(),
    tableName: text(),
    rowId: uuid().nullable(),
    op: enumeration(['upsert', 'delete', 'reset', 'mark']),
    mutationId: uuid().nullable(),
    originDeviceId: uuid().nullable(),
    actorUserId: uuid().nullable(),
    actorAgentId: uuid().nullable(),
  },
  indexes: [
    index(['channel', 'seq']),
    index(['oldChannel', 'seq'], { where: 'old_channel is not null' }),
    index(['mutationId'], { where: 'mutation_id is not null' }),
  ],
  checks: {
    row_id_op: "row_id is not null or op in ('reset','mark')",
  },
})
