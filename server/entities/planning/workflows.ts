import { boolean, enumeration, integer, json, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { live, unique } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** Orchestration: a graph of task templates. */
export const workflows = defineTable({
  table: 'workflows',
  module: 'planning',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }], fallback: 'organization' },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade').nullable(),
    name: text().len(1, 200),
    description: text().nullable(),
    triggerKind: enumeration(['manual', 'event', 'schedule', 'webhook']).default('manual'),
    triggerConfig: json().default({}),
    definition: json().check("jsonb_typeof({} -> 'steps') = 'array'"),
    definitionRevision: integer().default(1),
    retryPolicy: json().default({}),
    maxConcurrency: integer().min(1).default(1),
    isActive: boolean().default(true),
  },
  revisions: { definitionRevision: 'definition' },
  classes: {
    server: ['definitionRevision'],
  },
  indexes: [unique(['organizationId', 'projectId', 'name'], { nullsNotDistinct: true, where: live })],
})
