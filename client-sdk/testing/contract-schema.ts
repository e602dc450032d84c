import type { ColumnDescriptor, Schema } from '../../protocol/rows/table.ts'

const common = {
  id: { name: 'id', type: 'uuid', class: 'fixed' },
  channel: { name: 'channel', type: 'text', class: 'server' },
  version: { name: 'version', type: 'integer', class: 'server' },
  createdAt: { name: 'created_at', type: 'timestamptz', class: 'server' },
  updatedAt: { name: 'updated_at', type: 'timestamptz', class: 'server' },
} as const satisfies Readonly<Record<string, ColumnDescriptor>>

const deleted = { deletedAt: { name: 'deleted_at', type: 'timestamptz', nullable: true, optional: true } } as const

/** Number of dimensions of `notes.embedding`. */
export const contractDimension = 8

/** Tables with every column type and every relation that a store must know, for `storeContract`. */
export const contractSchema = {
  issues: {
    name: 'issues',
    direction: 'rw',
    policy: 'merge',
    writers: ['member'],
    scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }], fallback: 'organization' },
    columns: {
      ...common,
      projectId: { name: 'project_id', type: 'uuid', nullable: true, optional: true },
      title: { name: 'title', type: 'text' },
      status: { name: 'status', type: 'text', values: ['open', 'busy', 'done'], default: 'open', optional: true },
      priority: { name: 'priority', type: 'integer', default: 0, optional: true },
      bytes: { name: 'bytes', type: 'bigint', nullable: true, optional: true },
      price: { name: 'price', type: 'numeric', precision: 12, scale: 2, nullable: true, optional: true },
      exact: { name: 'exact', type: 'numeric', precision: 30, scale: 10, nullable: true, optional: true },
      ratio: { name: 'ratio', type: 'double', nullable: true, optional: true },
      urgent: { name: 'urgent', type: 'boolean', default: false, optional: true },
      dueAt: { name: 'due_at', type: 'timestamptz', nullable: true, optional: true },
      dueDate: { name: 'due_date', type: 'date', nullable: true, optional: true },
      meta: { name: 'meta', type: 'jsonb', default: {}, optional: true },
      labels: { name: 'labels', type: 'text[]', default: [], optional: true },
      ...deleted,
    },
  },
  threads: {
    name: 'threads',
    direction: 'rw',
    policy: 'merge',
    writers: ['member'],
    scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
    guests: { table: 'readers', column: 'threadId', by: { user: 'userId', agent: 'agentId' } },
    columns: {
      ...common,
      projectId: { name: 'project_id', type: 'uuid' },
      title: { name: 'title', type: 'text' },
      ...deleted,
    },
  },
  readers: {
    name: 'readers',
    direction: 'rw',
    policy: 'set',
    writers: ['member'],
    scope: { kind: 'via', parent: 'threads', column: 'threadId', channel: 'thread' },
    naturalKey: ['threadId', 'userId', 'agentId'],
    columns: {
      ...common,
      threadId: { name: 'thread_id', type: 'uuid', references: 'threads' },
      userId: { name: 'user_id', type: 'uuid', nullable: true, optional: true },
      agentId: { name: 'agent_id', type: 'uuid', nullable: true, optional: true },
      ...deleted,
    },
  },
  replies: {
    name: 'replies',
    direction: 'rw',
    policy: 'append',
    writers: ['member'],
    scope: { kind: 'via', parent: 'threads', column: 'threadId', channel: 'thread' },
    columns: {
      ...common,
      threadId: { name: 'thread_id', type: 'uuid', references: 'threads' },
      body: { name: 'body', type: 'text' },
    },
  },
  notes: {
    name: 'notes',
    direction: 'rw',
    policy: 'lww',
    writers: ['self', 'agent'],
    scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
    columns: {
      ...common,
      projectId: { name: 'project_id', type: 'uuid' },
      content: { name: 'content', type: 'text' },
      address: { name: 'address', type: 'inet', nullable: true, optional: true },
      lifetime: { name: 'lifetime', type: 'interval', nullable: true, optional: true },
      raw: { name: 'raw', type: 'bytea', nullable: true, optional: true },
      embedding: { name: 'embedding', type: 'vector', dimension: contractDimension, nullable: true, optional: true },
      ...deleted,
    },
  },
  members: {
    name: 'members',
    direction: 'rw',
    policy: 'set',
    writers: ['admin'],
    scope: { kind: 'columns', columns: [{ scope: 'project', column: 'boardId' }] },
    guests: { table: 'members', column: 'id', by: { user: 'userId', team: 'teamId' } },
    naturalKey: ['boardId', 'userId', 'teamId'],
    columns: {
      ...common,
      boardId: { name: 'board_id', type: 'uuid' },
      userId: { name: 'user_id', type: 'uuid', nullable: true, optional: true },
      teamId: { name: 'team_id', type: 'uuid', nullable: true, optional: true },
      ...deleted,
    },
  },
  boards: {
    name: 'boards',
    direction: 'rw',
    policy: 'merge',
    writers: ['member'],
    scope: { kind: 'project_home' },
    guests: {
      table: 'members',
      column: 'boardId',
      by: { user: 'userId', team: 'teamId' },
      owner: 'ownerId',
      ownChannel: 'project',
    },
    columns: { ...common, ownerId: { name: 'owner_id', type: 'uuid', nullable: true, optional: true }, ...deleted },
  },
  conflicts: {
    name: 'conflicts',
    direction: 'rw',
    policy: 'lww',
    writers: ['self'],
    scope: { kind: 'conflict_home' },
    columns: { ...common, kind: { name: 'kind', type: 'text' } },
  },
  signals: {
    name: 'signals',
    direction: 'up',
    policy: 'append',
    writers: ['agent'],
    scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
    columns: { ...common, projectId: { name: 'project_id', type: 'uuid' }, kind: { name: 'kind', type: 'text' } },
  },
} as const satisfies Schema
