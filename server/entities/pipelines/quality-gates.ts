import { boolean, enumeration, numeric, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { severity } from '../enums.ts'
import { live, unique } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

export const qualityGates = defineTable({
  table: 'quality_gates',
  module: 'pipelines',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade'),
    pipelineId: reference('pipelines', 'cascade').nullable(),
    name: text().len(1, 200),
    metricName: text(),
    operator: enumeration(['lt', 'lte', 'eq', 'gte', 'gt']),
    threshold: numeric(15, 4),
    severity: enumeration(severity).default('error'),
    isBlocking: boolean().default(true),
    isActive: boolean().default(true),
  },
  classes: {
    fixed: ['projectId'],
  },
  indexes: [unique(['projectId', 'pipelineId', 'name'], { nullsNotDistinct: true, where: live })],
})
