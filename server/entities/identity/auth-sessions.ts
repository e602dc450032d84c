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
    /** Of the newest token of the line, of the one before, and of what all of the line share. */
    refreshTokenHash: bytea(),
    previousTokenHash: bytea().nullable(),
    familyTokenHash: bytea().nullable(),
    /** When the one before was used. */
    rotatedAt: timestamp().nullable(),
    expiresAt: timestamp(),
    lastUsedAt: timestamp().nullable(),
    revokedAt: timestamp().nullable(),
    revokeReason: text().nullable(),
    ipAddress: inet().nullable(),
    userAgent: text().nullable(),
  },
  indexes: [unique(['refreshTokenHash']), unique(['familyTokenHash']), index(['userId', 'expiresAt'])],
})
