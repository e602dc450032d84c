import { enumeration, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { projectStatus } from '../enums.ts'
import { gin, index, live, trigram, unique } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/**
 * Members of an organization-visible project need no project_members row; the row itself is also delivered where
 * people look for it: the organization channel (visibility organization), the team's (team), the own channels of its
 * members (private).
 */
export const projects = defineTable({
  table: 'projects',
  module: 'projects',
  direction: 'rw',
  policy: 'merge',
  writers: ['member'],
  scope: { kind: 'project_home' },
  guests: {
    table: 'project_members',
    column: 'projectId',
    by: { user: 'userId', agent: 'agentId', team: 'teamId' },
    owner: 'ownerUserId',
    ownChannel: 'project',
  },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    teamId: reference('teams', 'set null').nullable(),
    ownerUserId: reference('users', 'set null').nullable(),
    name: text().len(1, 255),
    slug: text().check("{} ~ '^[a-z0-9][a-z0-9-]{0,62}$'"),
    description: text().nullable(),
    language: text().len(1, 50).default('unspecified'),
    status: enumeration(projectStatus).default('active'),
    currentStage: text().len(1, 100).nullable(),
    visibility: enumeration(['organization', 'team', 'private']).default('organization'),
    settings: json().default({}),
    metadata: json().default({}),
    startedAt: timestamp().nullable(),
    completedAt: timestamp().nullable(),
    cancelledAt: timestamp().nullable(),
    archivedAt: timestamp().nullable(),
  },
  stamps: {
    completedAt: { when: "{}.status = 'completed'" },
    cancelledAt: { when: "{}.status = 'cancelled'" },
    archivedAt: { when: "{}.status = 'archived'" },
  },
  classes: {
    server: ['completedAt', 'cancelledAt', 'archivedAt'],
  },
  guards: {
    ownerUserId: { kind: 'rank', rank: 'owner', owner: true },
    teamId: { kind: 'rank', rank: 'admin', team: true },
    visibility: { kind: 'rank', rank: 'admin', team: true },
    deletedAt: { kind: 'rank', rank: 'admin' },
    // The end of a project, like its deletion.
    status: { kind: 'rank', rank: 'admin', from: ['cancelled', 'archived'], to: ['cancelled', 'archived'] },
  },
  indexes: [
    unique(['organizationId', 'slug'], { where: live }),
    index(['organizationId', 'status', 'createdAt']),
    index(['status']),
    index(['ownerUserId']),
    index(['createdByUserId']),
    index(['createdAt']),
    gin(['metadata'], { operators: 'jsonb_path_ops' }),
    trigram('name'),
  ],
})
