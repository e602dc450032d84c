import { deviceKinds, storageEngines } from '../../../protocol/device-kinds.ts'
import { boolean, bytea, enumeration, inet, integer, json, numeric, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { syncStatus } from '../enums.ts'
import { index, live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

/** Every replica: browser, desktop, phone, CLI, agent runtime. */
export const devices = defineTable({
  table: 'devices',
  module: 'agents',
  direction: 'rw',
  policy: 'lww',
  writers: ['self', 'agent'],
  scope: {
    kind: 'columns',
    columns: [
      { scope: 'user', column: 'userId' },
      { scope: 'agent', column: 'agentId' },
    ],
  },
  columns: {
    ...syncedColumns(),
    userId: reference('users', 'cascade').nullable(),
    agentId: reference('agents', 'cascade').nullable(),
    fingerprint: text().len(8, 255),
    name: text().len(1, 120),
    kind: enumeration(deviceKinds),
    formFactor: text().generated("case when kind in ('mobile','tablet') then 'mobile' else 'desktop' end"),
    platform: text().nullable(),
    osVersion: text().nullable(),
    appVersion: text().nullable(),
    sdkVersion: text().nullable(),
    schemaVersion: integer().default(1),
    storageEngine: enumeration(storageEngines).default('pglite'),
    publicKey: bytea().nullable().hidden(),
    isTrusted: boolean().default(false),
    syncStatus: enumeration(syncStatus).default('local'),
    pendingMutations: integer().default(0),
    lastSeenAt: timestamp().nullable(),
    lastIp: inet().nullable(),
    batteryPercent: numeric(5, 2).nullable(),
    revokedAt: timestamp().nullable(),
    metadata: json().default({}),
  },
  classes: {
    fixed: ['userId', 'agentId', 'fingerprint', 'kind'],
    server: ['isTrusted', 'syncStatus', 'pendingMutations', 'revokedAt'],
    silent: ['lastSeenAt', 'lastIp', 'batteryPercent'],
  },
  indexes: [
    unique(['organizationId', 'fingerprint'], { where: live }),
    index(['userId']),
    index(['agentId']),
    index(['syncStatus'], { where: "sync_status <> 'synced'" }),
  ],
  checks: {
    principal: 'num_nonnulls(user_id, agent_id) = 1',
  },
})
