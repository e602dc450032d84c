import { boolean, enumeration, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { live, unique } from '../indexes.ts'
import { rootColumns } from '../mixins.ts'

/** One account, many organizations; the only synced table without organization_id. */
export const users = defineTable({
  table: 'users',
  module: 'identity',
  direction: 'rw',
  policy: 'merge',
  writers: ['self'],
  scope: { kind: 'columns', columns: [{ scope: 'user', column: 'id' }] },
  columns: {
    ...rootColumns(),
    email: text().check("{} = lower({}) and strpos({}, '@') > 1"),
    name: text().len(1, 255).nullable(),
    avatarUrl: text().nullable(),
    locale: text().default('en'),
    timezone: text().default('UTC'),
    status: enumeration(['invited', 'active', 'suspended', 'deactivated']).default('active'),
    isSystemAdmin: boolean().default(false),
    emailVerifiedAt: timestamp().nullable(),
    lastLoginAt: timestamp().nullable(),
  },
  classes: {
    server: ['email', 'status', 'isSystemAdmin', 'emailVerifiedAt'],
    silent: ['lastLoginAt'],
  },
  indexes: [unique(['email'], { where: live })],
})
