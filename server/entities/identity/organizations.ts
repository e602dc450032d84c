import { enumeration, json, text, timestamp, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { unique } from '../indexes.ts'
import { rootColumns } from '../mixins.ts'

/** Tenant root; Codegen organization. */
export const organizations = defineTable({
  table: 'organizations',
  module: 'identity',
  direction: 'rw',
  policy: 'merge',
  writers: ['owner'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'id' }] },
  columns: {
    ...rootColumns(),
    organizationId: uuid().generated('id'),
    name: text().len(1, 200),
    slug: text().check("{} ~ '^[a-z0-9][a-z0-9-]{1,62}$'"),
    status: enumeration(['active', 'suspended', 'closed']).default('active'),
    plan: text().len(1, 40).default('free'),
    externalOrgId: text().nullable(),
    settings: json().default({}),
    limits: json().default({}),
    closedAt: timestamp().nullable(),
  },
  stamps: {
    closedAt: { when: "{}.status = 'closed'" },
  },
  classes: {
    server: ['slug', 'status', 'plan', 'externalOrgId', 'limits', 'closedAt'],
  },
  indexes: [unique(['slug']), unique(['externalOrgId'])],
})
