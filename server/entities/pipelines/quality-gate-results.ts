import { boolean, json, numeric, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

export const qualityGateResults = defineTable({
  table: 'quality_gate_results',
  module: 'pipelines',
  direction: 'ro',
  policy: 'append',
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...recordColumns(),
    projectId: reference('projects', 'cascade'),
    qualityGateId: reference('quality_gates', 'set null').nullable(),
    executionId: reference('pipeline_executions', 'cascade'),
    gateName: text(),
    operator: text(),
    threshold: numeric(15, 4),
    actualValue: numeric(15, 4).nullable(),
    passed: boolean(),
    waivedByUserId: reference('users', 'set null').nullable(),
    details: json().default({}),
  },
  indexes: [unique(['executionId', 'gateName']), index(['qualityGateId', 'createdAt'])],
})
