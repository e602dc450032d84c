import { bigint, double, enumeration, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** Hourly and daily, kept for trends after the detail expires. */
export const systemMetricRollups = defineTable({
  table: 'system_metric_rollups',
  module: 'analytics',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    organizationId: reference('organizations', 'cascade').nullable(),
    metricName: text(),
    bucket: enumeration(['hour', 'day']),
    bucketStart: timestamp(),
    labels: json().default({}),
    sampleCount: bigint().default(0),
    sum: double().default(0),
    min: double().nullable(),
    max: double().nullable(),
    p95: double().nullable(),
    avg: double().generated(
      'case when sample_count > 0 then sum / sample_count::double precision else null::double precision end',
    ),
  },
  indexes: [unique(['organizationId', 'metricName', 'bucket', 'bucketStart', 'labels'], { nullsNotDistinct: true })],
})
