import { bytea, reference, text, textArray, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** Tokens this system issues to devices, agents, CI; hash only, shown once. */
export const accessTokens = defineTable({
  table: 'access_tokens',
  module: 'identity',
  direction: 'server',
  policy: 'server',
  capture: {
    channel: "'access/' || coalesce({}.user_id, {}.agent_id)",
    watched: ['scopes', 'expiresAt', 'revokedAt'],
  },
  columns: {
    ...serverColumns(),
    organizationId: reference('organizations', 'cascade'),
    userId: reference('users', 'cascade').nullable(),
    agentId: reference('agents', 'cascade').nullable(),
    deviceId: reference('devices', 'set null').nullable(),
    name: text().len(1, 120),
    tokenHash: bytea(),
    tokenPrefix: text().len(4, 12),
    scopes: textArray().default([]),
    expiresAt: timestamp().nullable(),
    lastUsedAt: timestamp().nullable(),
    revokedAt: timestamp().nullable(),
  },
  indexes: [unique(['tokenHash']), index(['organizationId'])],
  checks: {
    principal: 'num_nonnulls(user_id, agent_id) = 1',
  },
})
