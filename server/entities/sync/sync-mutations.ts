import { bigint, bytea, enumeration, integer, json, reference, text, timestamp, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'

/** Idempotency ledger; id is the client's mutation id. */
export const syncMutations = defineTable({
  table: 'sync_mutations',
  module: 'sync',
  direction: 'server',
  policy: 'append',
  columns: {
    id: uuid().primary(),
    deviceId: reference('devices', 'cascade'),
    organizationId: reference('organizations', 'cascade'),
    clientSeq: bigint(),
    batchId: uuid().nullable(),
    schemaVersion: integer().default(1),
    actorUserId: reference('users', 'set null').nullable(),
    actorAgentId: reference('agents', 'set null').nullable(),
    tableName: text(),
    rowId: uuid(),
    op: enumeration(['insert', 'patch', 'increment', 'delete', 'restore', 'resolve']),
    baseVersion: integer().nullable(),
    payload: json().default({}),
    payloadHash: bytea(),
    status: enumeration(['received', 'applied', 'merged', 'noop', 'conflict', 'rejected']),
    resultVersion: integer().nullable(),
    resultSeq: bigint().nullable(),
    conflictId: uuid().nullable(),
    errorCode: text().nullable(),
    result: json().default({}),
    clientCreatedAt: timestamp().nullable(),
    receivedAt: timestamp().defaultSql('now()'),
    appliedAt: timestamp().nullable(),
  },
  indexes: [
    unique(['deviceId', 'clientSeq']),
    index(['organizationId', 'receivedAt']),
    index(['tableName', 'rowId']),
    index(['status', 'receivedAt'], { where: "status in ('conflict','rejected')" }),
  ],
})
