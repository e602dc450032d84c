import { boolean, reference } from '../column.ts'
import { defineTable } from '../define.ts'
import { live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

/** Access_list as rows. */
export const knowledgeGrants = defineTable({
  table: 'knowledge_grants',
  module: 'memory',
  direction: 'rw',
  policy: 'set',
  writers: ['member', 'agent'],
  scope: { kind: 'via', parent: 'knowledge_entries', column: 'knowledgeEntryId', channel: 'knowledge_entry' },
  naturalKey: ['knowledgeEntryId', 'userId', 'agentId', 'teamId'],
  columns: {
    ...syncedColumns(),
    knowledgeEntryId: reference('knowledge_entries', 'cascade'),
    userId: reference('users', 'cascade').nullable(),
    agentId: reference('agents', 'cascade').nullable(),
    teamId: reference('teams', 'cascade').nullable(),
    canEdit: boolean().default(false),
  },
  classes: {
    fixed: ['knowledgeEntryId', 'userId', 'agentId', 'teamId'],
  },
  indexes: [
    unique(['knowledgeEntryId', 'userId'], { where: live }),
    unique(['knowledgeEntryId', 'agentId'], { where: live }),
    unique(['knowledgeEntryId', 'teamId'], { where: live }),
  ],
  checks: {
    principal: 'num_nonnulls(user_id, agent_id, team_id) = 1',
  },
})
