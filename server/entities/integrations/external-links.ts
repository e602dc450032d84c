import { enumeration, integer, json, reference, text, timestamp, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

/** Local row <-> issue, pull request, channel, message. */
export const externalLinks = defineTable({
  table: 'external_links',
  module: 'integrations',
  direction: 'rw',
  policy: 'set',
  writers: ['admin', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  naturalKey: ['integrationId', 'externalType', 'externalId'],
  columns: {
    ...syncedColumns(),
    integrationId: reference('integrations', 'cascade'),
    localType: enumeration([
      'task',
      'plan',
      'project',
      'repository',
      'conversation',
      'message',
      'document',
      'pipeline_execution',
      'user',
    ]),
    localId: uuid(),
    externalType: text().len(1, 60),
    externalId: text().len(1, 255),
    externalUrl: text().nullable(),
    syncDirection: enumeration(['pull', 'push', 'both']).default('both'),
    lastLocalVersion: integer().nullable(),
    lastExternalAt: timestamp().nullable(),
    state: json().default({}),
  },
  classes: {
    fixed: ['integrationId', 'externalType', 'externalId'],
    server: ['lastLocalVersion', 'lastExternalAt', 'state'],
  },
  polymorphic: [{ type: 'localType', id: 'localId' }],
  indexes: [unique(['integrationId', 'externalType', 'externalId'], { where: live }), index(['localType', 'localId'])],
})
