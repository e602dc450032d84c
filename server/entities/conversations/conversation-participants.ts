import { boolean, enumeration, integer, reference, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

export const conversationParticipants = defineTable({
  table: 'conversation_participants',
  module: 'conversations',
  direction: 'rw',
  policy: 'set',
  writers: ['member', 'agent', 'self'],
  scope: { kind: 'via', parent: 'conversations', column: 'conversationId', channel: 'conversation' },
  naturalKey: ['conversationId', 'userId', 'agentId'],
  columns: {
    ...syncedColumns(),
    conversationId: reference('conversations', 'cascade'),
    userId: reference('users', 'cascade').nullable(),
    agentId: reference('agents', 'cascade').nullable(),
    role: enumeration(['owner', 'participant', 'observer']).default('participant'),
    isMuted: boolean().default(false),
    lastReadPosition: integer().default(0),
    joinedAt: timestamp().defaultSql('now()'),
  },
  classes: {
    fixed: ['conversationId', 'userId', 'agentId'],
    lww: ['isMuted', 'lastReadPosition'],
  },
  guards: {
    role: { kind: 'host', own: [] },
    deletedAt: { kind: 'host', own: ['userId', 'agentId'] },
  },
  indexes: [
    unique(['conversationId', 'userId'], { where: live }),
    unique(['conversationId', 'agentId'], { where: live }),
    index(['userId']),
    index(['agentId']),
  ],
  checks: {
    principal: 'num_nonnulls(user_id, agent_id) = 1',
  },
})
