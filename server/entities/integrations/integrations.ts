import { enumeration, integer, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** One interface for GitHub, Linear, Slack. */
export const integrations = defineTable({
  table: 'integrations',
  module: 'integrations',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }], fallback: 'organization' },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade').nullable(),
    provider: enumeration(['github', 'linear', 'slack', 'generic']),
    name: text().len(1, 160),
    status: enumeration(['pending', 'active', 'paused', 'error', 'revoked']).default('pending'),
    repositoryOwner: text().len(1, 100).nullable(),
    repositoryName: text().len(1, 100).nullable(),
    externalTeamId: text().len(1, 100).nullable(),
    externalWorkspaceId: text().nullable(),
    externalChannelId: text().nullable(),
    installationId: text().nullable(),
    credentialId: reference('credentials', 'set null').hidden().nullable(),
    syncSettings: json().default({}),
    lastSyncedAt: timestamp().nullable(),
    syncCursor: json().hidden().default({}),
    errorCount: integer().default(0),
    lastError: text().nullable(),
    metadata: json().default({}),
  },
  classes: {
    server: ['status', 'lastSyncedAt', 'errorCount', 'lastError'],
  },
  // Admins of the organization give it a credential; an admin of its project must not say where that is sent.
  guards: {
    provider: { kind: 'rank', rank: 'admin', of: 'organization', insert: 'free' },
    repositoryOwner: { kind: 'rank', rank: 'admin', of: 'organization', insert: 'free' },
    repositoryName: { kind: 'rank', rank: 'admin', of: 'organization', insert: 'free' },
    syncSettings: { kind: 'rank', rank: 'admin', of: 'organization', within: [['apiUrl']] },
  },
  indexes: [
    unique(['organizationId', 'projectId', 'provider', 'name'], { nullsNotDistinct: true, where: live }),
    index(['provider', 'status']),
    index(['repositoryOwner', 'repositoryName']),
  ],
  checks: {
    github:
      "provider <> 'github' or (repository_owner is not null and repository_name is not null) or installation_id is not null",
    linear: "provider <> 'linear' or external_team_id is not null",
    slack: "provider <> 'slack' or external_workspace_id is not null",
  },
})
