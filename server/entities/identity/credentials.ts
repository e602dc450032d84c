import { bytea, enumeration, json, numeric, reference, text, textArray, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** Every third-party secret: OpenRouter and other provider keys, GitHub OAuth, Linear, Slack, webhook secrets. */
export const credentials = defineTable({
  table: 'credentials',
  module: 'identity',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    organizationId: reference('organizations', 'cascade'),
    userId: reference('users', 'cascade').nullable(),
    provider: text().len(1, 60),
    kind: enumeration(['api_key', 'oauth_token', 'bot_token', 'webhook_secret', 'signing_key', 'push_token']),
    label: text().len(1, 120).default('default'),
    secretCiphertext: bytea().check('octet_length({}) >= 29'),
    refreshCiphertext: bytea().check('octet_length({}) >= 29').nullable(),
    keyId: text(),
    fingerprint: bytea(),
    lastFour: text().len(0, 4).nullable(),
    accountLabel: text().nullable(),
    scopes: textArray().default([]),
    spendLimitUsd: numeric(14, 4).min(0).nullable(),
    expiresAt: timestamp().nullable(),
    lastUsedAt: timestamp().nullable(),
    lastRotatedAt: timestamp().nullable(),
    revokedAt: timestamp().nullable(),
    metadata: json().default({}),
  },
  indexes: [
    unique(['organizationId', 'userId', 'provider', 'kind', 'label'], {
      nullsNotDistinct: true,
      where: 'revoked_at is null',
    }),
    index(['userId', 'provider']),
    index(['fingerprint']),
    index(['expiresAt'], { where: 'expires_at is not null' }),
  ],
})
