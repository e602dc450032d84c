import { enumeration, json, reference, text, uuid } from '../column.ts'
import { defineTable } from '../define.ts'
import { severity } from '../enums.ts'
import { index } from '../indexes.ts'
import { logColumns } from '../mixins.ts'

/** Lifecycle and health. */
export const agentEvents = defineTable({
  table: 'agent_events',
  module: 'agents',
  direction: 'up',
  policy: 'append',
  writers: ['agent'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...logColumns(),
    agentId: reference('agents', 'set null').nullable(),
    agentInstanceId: uuid().nullable(),
    agentLabel: text().default(''),
    eventType: text().check("{} ~ '^[a-z][a-z0-9_.]{1,79}$'"),
    severity: enumeration(severity).default('info'),
    message: text().nullable(),
    taskId: uuid().nullable(),
    data: json().default({}),
  },
  indexes: [
    index(['agentId', 'occurredAt']),
    index(['organizationId', 'eventType', 'occurredAt']),
    index(['severity', 'occurredAt'], { where: "severity in ('error','critical')" }),
  ],
})
