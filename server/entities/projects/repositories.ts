import { boolean, enumeration, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

export const repositories = defineTable({
  table: 'repositories',
  module: 'projects',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade'),
    integrationId: reference('integrations', 'set null').nullable(),
    provider: enumeration(['github', 'gitlab', 'bitbucket', 'local']).default('github'),
    owner: text().len(1, 100),
    name: text().len(1, 100),
    defaultBranch: text().default('main'),
    cloneUrl: text().nullable(),
    externalId: text().nullable(),
    isPrivate: boolean().default(true),
    isArchived: boolean().default(false),
    languageStats: json().default({}),
    lastSyncedAt: timestamp().nullable(),
  },
  classes: {
    server: ['externalId', 'languageStats', 'lastSyncedAt'],
  },
  indexes: [unique(['projectId', 'provider', 'owner', 'name'], { where: live }), index(['externalId'])],
})
