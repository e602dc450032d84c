import { boolean, enumeration, integer, json, numeric, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { executionMode, stepStatus } from '../enums.ts'
import { index } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** Ordered stages of a project. */
export const phases = defineTable({
  table: 'phases',
  module: 'planning',
  direction: 'rw',
  policy: 'merge',
  writers: ['member', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade'),
    planId: reference('plans', 'cascade').nullable(),
    title: text().len(1, 255),
    objective: text().nullable(),
    position: integer().default(0),
    status: enumeration(stepStatus).default('pending'),
    executionMode: enumeration(executionMode).default('sequential'),
    estimatedHoursMin: numeric(8, 2).nullable(),
    estimatedHoursMax: numeric(8, 2).nullable(),
    startedAt: timestamp().nullable(),
    completedAt: timestamp().nullable(),
    metadata: json().default({}),
    mobileVisible: boolean().default(true),
  },
  classes: {
    fixed: ['projectId'],
    server: ['mobileVisible'],
  },
  indexes: [index(['projectId', 'position']), index(['planId'])],
  checks: {
    estimated_hours_max_estimated_hours_min:
      'estimated_hours_max is null or estimated_hours_min is null or estimated_hours_max >= estimated_hours_min',
  },
})
