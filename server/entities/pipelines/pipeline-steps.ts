import { boolean, enumeration, integer, json, reference, text, textArray } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

export const pipelineSteps = defineTable({
  table: 'pipeline_steps',
  module: 'pipelines',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin'],
  scope: { kind: 'via', parent: 'pipelines', column: 'pipelineId', channel: 'pipeline' },
  columns: {
    ...syncedColumns(),
    pipelineId: reference('pipelines', 'cascade'),
    name: text().len(1, 200),
    position: integer().default(0),
    kind: enumeration(['command', 'agent', 'test', 'build', 'deploy', 'approval', 'quality_gate', 'notify']).default(
      'command',
    ),
    configuration: json().default({}),
    dependsOn: textArray().default([]),
    agentId: reference('agents', 'set null').nullable(),
    retryLimit: integer().min(0).default(0),
    continueOnError: boolean().default(false),
    timeoutSeconds: integer().nullable(),
  },
  classes: {
    fixed: ['pipelineId'],
  },
  indexes: [unique(['pipelineId', 'name'], { where: live }), index(['pipelineId', 'position'])],
})
