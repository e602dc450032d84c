import { boolean, enumeration, integer, json, reference, text, timestamp, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { gin, index } from '../indexes.ts'
import { logColumns } from '../mixins.ts'

/** Inbound and outbound platform traffic with processing state. */
export const integrationEvents = defineTable({
  table: 'integration_events',
  module: 'integrations',
  direction: 'server',
  policy: 'append',
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...logColumns(),
    integrationId: reference('integrations', 'set null').nullable(),
    webhookId: uuid().nullable(),
    projectId: reference('projects', 'set null').nullable(),
    direction: enumeration(['inbound', 'outbound']).default('inbound'),
    provider: text(),
    eventType: text().len(1, 160),
    externalId: text().nullable(),
    payload: json().default({}),
    signatureValid: boolean().nullable(),
    status: enumeration(['received', 'processing', 'processed', 'ignored', 'failed', 'dead']).default('received'),
    attempts: integer().default(0),
    processedAt: timestamp().nullable(),
    httpStatus: integer().nullable(),
    errorMessage: text().nullable(),
    latencyMs: integer().nullable(),
  },
  indexes: [
    index(['integrationId', 'occurredAt']),
    index(['status', 'occurredAt'], { where: "status in ('received','processing','failed')" }),
    index(['provider', 'eventType', 'occurredAt']),
    index(['integrationId', 'externalId']),
    index(['projectId', 'occurredAt']),
    gin(['payload'], { operators: 'jsonb_path_ops' }),
  ],
})
