import { enumeration, reference, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { userRole } from '../enums.ts'
import { live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

/** Users and agents in teams. */
export const teamMemberships = defineTable({
  table: 'team_memberships',
  module: 'identity',
  direction: 'rw',
  policy: 'set',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  naturalKey: ['teamId', 'userId', 'agentId'],
  columns: {
    ...syncedColumns(),
    teamId: reference('teams', 'cascade'),
    userId: reference('users', 'cascade').nullable(),
    agentId: reference('agents', 'cascade').nullable(),
    role: enumeration(userRole).default('member'),
    joinedAt: timestamp().defaultSql('now()'),
  },
  classes: {
    fixed: ['teamId', 'userId', 'agentId'],
  },
  guards: {
    role: { kind: 'role' },
  },
  indexes: [unique(['teamId', 'userId'], { where: live }), unique(['teamId', 'agentId'], { where: live })],
  checks: {
    principal: 'num_nonnulls(user_id, agent_id) = 1',
  },
})
