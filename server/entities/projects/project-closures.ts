import { bytea, enumeration, json, reference, text, timestamp, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

/** Record of a cancellation or archiving; outlives the project and its people, hence no FK on project_id. */
export const projectClosures = defineTable({
  table: 'project_closures',
  module: 'projects',
  direction: 'ro',
  policy: 'append',
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...recordColumns(),
    projectId: uuid(),
    kind: enumeration(['cancelled', 'archived']),
    projectName: text(),
    description: text().nullable(),
    language: text().nullable(),
    stage: text().nullable(),
    reason: text().nullable(),
    completedAt: timestamp().nullable(),
    ownerUserId: reference('users', 'set null').nullable(),
    closedByUserId: reference('users', 'set null').nullable().author(),
    closedByLabel: text().nullable(),
    closedAt: timestamp().defaultSql('now()'),
    archivePath: text().nullable(),
    archiveSha256: bytea().nullable(),
    metadata: json().default({}),
  },
  indexes: [index(['closedByUserId']), index(['ownerUserId']), index(['kind', 'closedAt']), index(['projectId'])],
  checks: {
    kind_completed_at: "kind <> 'archived' or completed_at is not null",
  },
})
