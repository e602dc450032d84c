import { enumeration, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { userRole } from '../enums.ts'
import { index, live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

/** Who belongs, with which role; carries the public profile so that users rows stay private. */
export const organizationMembers = defineTable({
  table: 'organization_members',
  module: 'identity',
  direction: 'rw',
  policy: 'set',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  naturalKey: ['organizationId', 'userId'],
  columns: {
    ...syncedColumns(),
    userId: reference('users', 'cascade'),
    role: enumeration(userRole).default('member'),
    status: enumeration(['invited', 'active', 'suspended']).default('active'),
    displayName: text().nullable(),
    email: text().nullable(),
    avatarUrl: text().nullable(),
    invitedByUserId: reference('users', 'set null').nullable().author(),
    joinedAt: timestamp().nullable(),
  },
  stamps: {
    joinedAt: { when: "{}.status = 'active'", keep: true },
  },
  classes: {
    server: ['displayName', 'email', 'avatarUrl', 'joinedAt'],
    fixed: ['userId'],
  },
  guards: {
    role: { kind: 'role', with: ['status'] },
  },
  indexes: [unique(['organizationId', 'userId'], { where: live }), index(['userId'])],
})
