import { enumeration, reference } from '../column.ts'
import { defineTable } from '../define.ts'
import { userRole } from '../enums.ts'
import { live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

/**
 * Project access control for users, teams, agents. Each finds its own rows in its own channel too, whether it follows
 * the project or not: they tell a replica by which of its channels it was given a private project.
 */
export const projectMembers = defineTable({
  table: 'project_members',
  module: 'projects',
  direction: 'rw',
  policy: 'set',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  guests: { table: 'project_members', column: 'id', by: { user: 'userId', agent: 'agentId', team: 'teamId' } },
  naturalKey: ['projectId', 'userId', 'teamId', 'agentId'],
  columns: {
    ...syncedColumns(),
    projectId: reference('projects', 'cascade'),
    userId: reference('users', 'cascade').nullable(),
    teamId: reference('teams', 'cascade').nullable(),
    agentId: reference('agents', 'cascade').nullable(),
    role: enumeration(userRole).default('member'),
  },
  classes: {
    fixed: ['projectId', 'userId', 'teamId', 'agentId'],
  },
  guards: {
    role: { kind: 'role' },
  },
  indexes: [
    unique(['projectId', 'userId'], { where: live }),
    unique(['projectId', 'teamId'], { where: live }),
    unique(['projectId', 'agentId'], { where: live }),
  ],
  checks: {
    principal: 'num_nonnulls(user_id, team_id, agent_id) = 1',
  },
})
