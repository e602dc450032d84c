import { boolean, enumeration, integer, json, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** CI/CD definitions. */
export const pipelines = defineTable({
  table: 'pipelines',
  module: 'pipelines',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade'),
    repositoryId: reference('repositories', 'set null').nullable(),
    name: text().len(1, 200),
    description: text().nullable(),
    triggerKind: enumeration(['manual', 'push', 'pull_request', 'schedule', 'event', 'api']).default('manual'),
    triggerConfig: json().default({}),
    environment: json().default({}),
    timeoutSeconds: integer().min(1).default(3600),
    isActive: boolean().default(true),
    definitionRevision: integer().default(1),
  },
  classes: {
    fixed: ['projectId'],
    server: ['definitionRevision'],
  },
  indexes: [unique(['projectId', 'name'], { where: live }), index(['repositoryId'])],
})
