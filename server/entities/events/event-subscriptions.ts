import { bigint, enumeration, integer, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

/** Durable subscriptions with a cursor. */
export const eventSubscriptions = defineTable({
  table: 'event_subscriptions',
  module: 'events',
  direction: 'rw',
  policy: 'lww',
  writers: ['admin', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...recordColumns(),
    name: text().len(1, 160),
    agentId: reference('agents', 'cascade').nullable(),
    userId: reference('users', 'cascade').nullable(),
    deviceId: reference('devices', 'cascade').nullable(),
    integrationId: reference('integrations', 'cascade').nullable(),
    sourcePattern: text().default('*'),
    typePattern: text().default('*'),
    filter: json().default({}),
    delivery: enumeration(['websocket', 'webhook', 'pull']).default('websocket'),
    webhookId: reference('webhooks', 'set null').nullable(),
    status: enumeration(['active', 'paused', 'failed']).default('active'),
    cursorSeq: bigint().default(0),
    retryPolicy: json().default({}),
    failureCount: integer().default(0),
    lastDeliveredAt: timestamp().nullable(),
    lastError: text().nullable(),
  },
  classes: {
    server: ['failureCount', 'lastError', 'status'],
    silent: ['cursorSeq', 'lastDeliveredAt'],
  },
  indexes: [index(['agentId', 'status']), index(['status']), unique(['organizationId', 'name'])],
  checks: {
    subscriber: 'num_nonnulls(agent_id, user_id, device_id, integration_id) = 1',
  },
})
