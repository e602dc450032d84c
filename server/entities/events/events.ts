import { bigint, enumeration, integer, json, reference, text, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { priority } from '../enums.ts'
import { gin, index } from '../indexes.ts'
import { systemLogColumns } from '../mixins.ts'

/** Persisted pub/sub events, published offline too; delivered live by subscription, replayed from here. */
export const events = defineTable({
  table: 'events',
  module: 'events',
  direction: 'up',
  policy: 'append',
  writers: ['agent', 'member'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...systemLogColumns(),
    seq: bigint().defaultSql('sync.next_event_seq()'),
    source: text().len(1, 120),
    type: text().len(1, 160),
    projectId: reference('projects', 'set null').nullable(),
    agentId: reference('agents', 'set null').nullable(),
    userId: reference('users', 'set null').nullable(),
    deviceId: uuid().nullable(),
    subjectType: text().nullable(),
    subjectId: uuid().nullable(),
    eventData: json().default({}),
    priority: enumeration(priority).default('medium'),
    schemaVersion: integer().default(1),
    correlationId: uuid().nullable(),
    causationId: uuid().nullable(),
  },
  classes: {
    server: ['seq'],
  },
  polymorphic: [{ type: 'subjectType', id: 'subjectId' }],
  guards: {
    agentId: { kind: 'author', of: 'agent' },
    userId: { kind: 'author', of: 'user' },
  },
  indexes: [
    index(['source', 'type', 'occurredAt']),
    index(['seq']),
    index(['organizationId', 'seq']),
    index(['projectId', 'occurredAt']),
    index(['agentId', 'occurredAt']),
    index(['correlationId']),
    index(['subjectType', 'subjectId']),
    gin(['eventData'], { operators: 'jsonb_path_ops' }),
  ],
})
