import { bytea, inet, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** Refresh tokens of signed-in users. */
export const authSessions = defineTable({
  table: 'auth_sessions',
  module: 'identity',
  direction: 'server',
  policy: 'server',
  capture: { channel: "'access/' || {}.user_id", watched: ['expiresAt', 'revokedAt'] },
  columns: {
    ...serverColumns(),
    userId: reference('users', 'cascade'),
    deviceId: reference('devices', 'cascade').nullable(),
    refreshTokenHash: bytea(),
    expiresAt: timestamp(),
    lastUsedAt: timestamp().nullable(),
    revokedAt: timestamp().nullable(),
    revokeReason: text().nullable(),
    ipAddress: inet().nullable(),
    userAgent: text().nullable(),
  },
  indexes: [unique(['refreshTokenHash']), index(['userId', 'expiresAt'])],
})
