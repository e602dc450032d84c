import { boolean, enumeration, integer, json, reference, text, textArray, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** Inbound endpoints and outbound targets. */
export const webhooks = defineTable({
  table: 'webhooks',
  module: 'integrations',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin'],
  scope: { kind: 'via', parent: 'integrations', column: 'integrationId', channel: 'integration' },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    integrationId: reference('integrations', 'cascade'),
    direction: enumeration(['inbound', 'outbound']),
    name: text().len(1, 160),
    url: text().nullable(),
    endpointKey: text().nullable(),
    eventTypes: textArray().default([]),
    secretCredentialId: reference('credentials', 'set null').hidden().nullable(),
    isActive: boolean().default(true),
    retryPolicy: json().default({}),
    lastDeliveryAt: timestamp().nullable(),
    lastStatus: integer().nullable(),
    failureCount: integer().default(0),
  },
  classes: {
    fixed: ['integrationId'],
    server: ['endpointKey', 'lastDeliveryAt', 'lastStatus', 'failureCount'],
  },
  indexes: [unique(['endpointKey']), index(['integrationId'])],
  checks: {
    outbound: "direction <> 'outbound' or url is not null",
    inbound: "direction <> 'inbound' or endpoint_key is not null",
  },
})
