import { boolean, integer, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** Password, apart from the profile. */
export const userCredentials = defineTable({
  table: 'user_credentials',
  module: 'identity',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    userId: reference('users', 'cascade'),
    passwordHash: text().check("{} ~ '^[$](argon2id|scrypt)[$]'"),
    passwordChangedAt: timestamp().defaultSql('now()'),
    failedAttempts: integer().min(0).default(0),
    lockedUntil: timestamp().nullable(),
    mustChange: boolean().default(false),
  },
  indexes: [unique(['userId'])],
})
