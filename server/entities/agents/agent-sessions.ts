import { enumeration, integer, interval, json, numeric, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

/** Working session of an agent; context for its memory. */
export const agentSessions = defineTable({
  table: 'agent_sessions',
  module: 'agents',
  direction: 'rw',
  policy: 'lww',
  writers: ['agent', 'self'],
  scope: { kind: 'columns', columns: [{ scope: 'agent', column: 'agentId' }] },
  columns: {
    ...syncedColumns(),
    agentId: reference('agents', 'cascade'),
    agentInstanceId: reference('agent_instances', 'set null').nullable(),
    deviceId: reference('devices', 'set null').nullable(),
    userId: reference('users', 'set null').nullable(),
    projectId: reference('projects', 'set null').nullable(),
    status: enumeration(['active', 'paused', 'completed', 'failed']).default('active'),
    contextSnapshot: json().default({}),
    mobileSessionId: text().len(1, 255).nullable(),
    deviceInfo: json().default({}),
    startedAt: timestamp().defaultSql('now()'),
    lastActivityAt: timestamp().defaultSql('now()'),
    endedAt: timestamp().nullable(),
    duration: interval().generated('ended_at - started_at'),
    taskCount: integer().min(0).default(0),
    successRate: numeric(5, 4).between(0, 1).nullable(),
    metadata: json().default({}),
  },
  classes: {
    fixed: ['agentId'],
    counter: ['taskCount'],
    server: ['successRate'],
    silent: ['lastActivityAt'],
  },
  indexes: [
    index(['agentId', 'status'], { where: "status = 'active'" }),
    index(['mobileSessionId'], { where: 'mobile_session_id is not null' }),
    index(['projectId']),
  ],
  checks: {
    ended_at_started_at: 'ended_at is null or ended_at >= started_at',
  },
})
