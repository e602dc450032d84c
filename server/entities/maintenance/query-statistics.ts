import { bigint, double, json, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** Per minute and statement fingerprint, from the query log of the server; works where pg_stat_statements does not. */
export const queryStatistics = defineTable({
  table: 'query_statistics',
  module: 'maintenance',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    bucketStart: timestamp(),
    fingerprint: text(),
    sampleSql: text().nullable(),
    calls: bigint().default(0),
    errorCalls: bigint().default(0),
    slowCalls: bigint().default(0),
    totalMs: double().default(0),
    maxMs: double().default(0),
    rowsReturned: bigint().default(0),
    histogram: json().default({}),
    plan: json().nullable(),
  },
  indexes: [unique(['bucketStart', 'fingerprint']), index(['fingerprint', 'bucketStart'])],
})
