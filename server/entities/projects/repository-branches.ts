import { boolean, enumeration, integer, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

/** Branch tracking. */
export const repositoryBranches = defineTable({
  table: 'repository_branches',
  module: 'projects',
  direction: 'ro',
  policy: 'server',
  scope: { kind: 'via', parent: 'repositories', column: 'repositoryId', channel: 'repository' },
  columns: {
    ...recordColumns(),
    repositoryId: reference('repositories', 'cascade'),
    taskId: reference('tasks', 'set null').nullable(),
    name: text(),
    headSha: text().nullable(),
    isDefault: boolean().default(false),
    isProtected: boolean().default(false),
    status: enumeration(['active', 'merged', 'stale', 'deleted']).default('active'),
    aheadBy: integer().default(0),
    behindBy: integer().default(0),
    lastCommitAt: timestamp().nullable(),
    lastCommitAuthor: text().nullable(),
  },
  classes: {
    fixed: ['repositoryId'],
  },
  indexes: [unique(['repositoryId', 'name']), index(['status'])],
})
