import { createUuidSource } from '../../lib/uuid.ts'
import { seededRandom } from '../../lib/random.ts'
import { packRows } from '../../protocol/rows/block-codec.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor, Schema, TableDescriptor } from '../../protocol/rows/table.ts'
import { ManualClock } from '../support/manual-clock.ts'

const common = {
  id: { name: 'id', type: 'uuid', class: 'fixed' },
  organizationId: { name: 'organization_id', type: 'uuid', class: 'server' },
  channel: { name: 'channel', type: 'text', class: 'server' },
  version: { name: 'version', type: 'integer', class: 'server' },
  createdAt: { name: 'created_at', type: 'timestamptz', class: 'server' },
  updatedAt: { name: 'updated_at', type: 'timestamptz', class: 'server' },
} as const satisfies Readonly<Record<string, ColumnDescriptor>>

const deleted = { deletedAt: { name: 'deleted_at', type: 'timestamptz', nullable: true, class: 'server' } } as const

/** A small schema with one of everything that replicas treat in their own way. */
export const replicaSchema = {
  tasks: {
    name: 'tasks',
    direction: 'rw',
    policy: 'merge',
    writers: ['member'],
    scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }], fallback: 'organization' },
    columns: {
      ...common,
      projectId: { name: 'project_id', type: 'uuid', nullable: true, optional: true },
      parentId: { name: 'parent_id', type: 'uuid', nullable: true, optional: true, references: 'tasks', belongs: true },
      title: { name: 'title', type: 'text', maxLength: 200 },
      body: { name: 'body', type: 'text', nullable: true, optional: true },
      status: { name: 'status', type: 'text', values: ['open', 'busy', 'done'], default: 'open', optional: true },
      useCount: { name: 'use_count', type: 'integer', class: 'counter', default: 0, optional: true },
      kind: { name: 'kind', type: 'text', class: 'fixed', nullable: true, optional: true },
      dueAt: { name: 'due_at', type: 'timestamptz', nullable: true, optional: true },
      embedding: { name: 'embedding', type: 'vector', dimension: 2, nullable: true, optional: true },
      ...deleted,
    },
  },
  notes: {
    name: 'notes',
    direction: 'rw',
    policy: 'append',
    writers: ['member'],
    scope: { kind: 'via', parent: 'tasks', column: 'taskId', channel: 'task' },
    columns: {
      ...common,
      taskId: { name: 'task_id', type: 'uuid', references: 'tasks' },
      text: { name: 'text', type: 'text' },
    },
  },
  taskTags: {
    name: 'task_tags',
    direction: 'rw',
    policy: 'set',
    writers: ['member'],
    naturalKey: ['taskId', 'tag'],
    scope: { kind: 'via', parent: 'tasks', column: 'taskId', channel: 'task' },
    columns: {
      ...common,
      taskId: { name: 'task_id', type: 'uuid', references: 'tasks', belongs: true, class: 'fixed' },
      tag: { name: 'tag', type: 'text', class: 'fixed' },
      weight: { name: 'weight', type: 'integer', default: 1, optional: true },
      ...deleted,
    },
  },
  plans: {
    name: 'plans',
    direction: 'ro',
    policy: 'server',
    writers: [],
    scope: { kind: 'global' },
    columns: { ...common, name: { name: 'name', type: 'text' } },
  },
  syncConflicts: {
    name: 'sync_conflicts',
    direction: 'rw',
    policy: 'lww',
    writers: ['self'],
    scope: { kind: 'conflict_home' },
    columns: {
      ...common,
      deviceId: { name: 'device_id', type: 'uuid', nullable: true, class: 'fixed' },
      userId: { name: 'user_id', type: 'uuid', nullable: true, class: 'fixed' },
      agentId: { name: 'agent_id', type: 'uuid', nullable: true, class: 'fixed' },
      mutationId: { name: 'mutation_id', type: 'uuid', class: 'fixed' },
      tableName: { name: 'table_name', type: 'text', class: 'fixed' },
      rowId: { name: 'row_id', type: 'uuid', class: 'fixed' },
      kind: { name: 'kind', type: 'text', class: 'fixed' },
      fields: { name: 'fields', type: 'jsonb', class: 'fixed' },
      clientPatch: { name: 'client_patch', type: 'jsonb', class: 'fixed' },
      status: { name: 'status', type: 'text', values: ['open', 'resolved', 'dismissed'], class: 'server' },
      resolution: { name: 'resolution', type: 'text', nullable: true, class: 'server' },
      resolvedPatch: { name: 'resolved_patch', type: 'jsonb', nullable: true, class: 'server' },
      resolvedAt: { name: 'resolved_at', type: 'timestamptz', nullable: true, class: 'server' },
    },
  },
} as const satisfies Schema

const tables: ReadonlyMap<string, TableDescriptor> = new Map<string, TableDescriptor>(
  Object.values(replicaSchema).map((table) => [table.name, table]),
)

export function tableNamed(name: string): TableDescriptor {
  const table = tables.get(name)
  if (table === undefined) throw new Error(`no table ${name}`)
  return table
}

/** Ids that are the same in every run. */
export const testIds = createUuidSource(new ManualClock(), seededRandom(7))

export const organizationId = testIds()
export const userId = testIds()
export const projectId = testIds()
export const channel = `project/${projectId}`

/** A task as the server would send it. */
export function serverTask(values: Partial<Record<string, Row[string]>> = {}): Row {
  return {
    id: testIds(),
    organizationId,
    channel,
    version: 1,
    createdAt: '2026-11-22T00:00:00.000Z',
    updatedAt: '2026-11-22T00:00:00.000Z',
    projectId,
    parentId: null,
    title: 'a task',
    body: null,
    status: 'open',
    useCount: 0,
    kind: null,
    dueAt: null,
    deletedAt: null,
    ...values,
  }
}

export function blockOf(table: string, rows: readonly Row[], embeddings = false): PackedBlock {
  return packRows(tableNamed(table), rows, { embeddings })
}
