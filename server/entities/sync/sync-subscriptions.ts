import { boolean, enumeration, integer, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { syncStatus } from '../enums.ts'
import { index, unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** Per device and followed channel; the cursor itself is per device. */
export const syncSubscriptions = defineTable({
  table: 'sync_subscriptions',
  module: 'sync',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    deviceId: reference('devices', 'cascade'),
    organizationId: reference('organizations', 'cascade').nullable(),
    channel: text(),
    bootstrappedAt: timestamp().nullable(),
    includeEmbeddings: boolean().default(false),
    filter: json().default({}),
    syncStatus: enumeration(syncStatus).default('local'),
    pendingMutations: integer().min(0).default(0),
    openConflicts: integer().min(0).default(0),
    lastAckAt: timestamp().nullable(),
    lastError: text().nullable(),
  },
  indexes: [
    unique(['deviceId', 'channel']),
    index(['channel']),
    index(['syncStatus'], { where: "sync_status <> 'synced'" }),
  ],
})
