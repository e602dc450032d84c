import { double, enumeration, json, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { gin, index } from '../indexes.ts'
import { systemLogColumns } from '../mixins.ts'

export const systemMetrics = defineTable({
  table: 'system_metrics',
  module: 'analytics',
  direction: 'up',
  policy: 'append',
  writers: ['agent', 'member'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...systemLogColumns(),
    metricName: text().check("{} ~ '^[a-z][a-z0-9_.]{1,119}$'"),
    metricType: enumeration(['counter', 'gauge', 'histogram']).default('gauge'),
    value: double(),
    unit: text().nullable(),
    labels: json().default({}),
    source: text().default('server'),
    projectId: reference('projects', 'set null').nullable(),
    agentId: reference('agents', 'set null').nullable(),
  },
  indexes: [
    index(['metricName', 'occurredAt']),
    index(['organizationId', 'metricName', 'occurredAt']),
    gin(['labels'], { operators: 'jsonb_path_ops' }),
  ],
})
