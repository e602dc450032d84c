import { boolean, bytea, enumeration, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { authorColumns, systemSyncedColumns } from '../mixins.ts'

/** Versioned prompts per agent type; column semver because version is the row version. */
export const prompts = defineTable({
  table: 'prompts',
  module: 'prompts',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...systemSyncedColumns(),
    ...authorColumns(),
    agentType: text(),
    name: text().len(1, 120).default('default'),
    semver: text().check("{} ~ '^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$'"),
    promptText: text().len(1, 200000),
    checksum: bytea().generated("digest(prompt_text, 'sha256')"),
    variables: json().default([]),
    status: enumeration(['draft', 'testing', 'approved', 'retired']).default('draft'),
    isActive: boolean().default(false),
    activatedAt: timestamp().nullable(),
    parentPromptId: reference('prompts', 'set null').nullable(),
    createdByLabel: text().nullable(),
    notes: text().nullable(),
  },
  exclusive: { flag: 'isActive', by: ['agentType', 'name'] },
  stamps: {
    activatedAt: { when: '{}.is_active', keep: true },
  },
  classes: {
    fixed: ['agentType', 'name', 'semver', 'promptText'],
    server: ['activatedAt'],
  },
  indexes: [
    unique(['organizationId', 'agentType', 'name', 'semver'], { nullsNotDistinct: true, where: live }),
    unique(['organizationId', 'agentType', 'name'], {
      nullsNotDistinct: true,
      where: 'is_active and deleted_at is null',
    }),
    index(['agentType', 'isActive']),
  ],
})
