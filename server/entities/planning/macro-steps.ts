import { boolean, enumeration, integer, json, numeric, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { executionMode, priority, stepStatus } from '../enums.ts'
import { index } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** Work packages of a phase. */
export const macroSteps = defineTable({
  table: 'macro_steps',
  module: 'planning',
  direction: 'rw',
  policy: 'merge',
  writers: ['member', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade'),
    phaseId: reference('phases', 'cascade'),
    title: text().len(1, 255),
    objective: text().nullable(),
    description: text().nullable(),
    position: integer().default(0),
    parallelGroup: text().len(1, 20).nullable(),
    executionMode: enumeration(executionMode).default('sequential'),
    status: enumeration(stepStatus).default('pending'),
    priority: enumeration(priority).default('medium'),
    estimatedHoursMin: numeric(8, 2).nullable(),
    estimatedHoursMax: numeric(8, 2).nullable(),
    actualHours: numeric(8, 2).nullable(),
    risks: json().default([]),
    outputs: json().default([]),
    result: json().nullable(),
    startedAt: timestamp().nullable(),
    completedAt: timestamp().nullable(),
    metadata: json().default({}),
    mobileVisible: boolean().default(true),
  },
  classes: {
    fixed: ['projectId'],
    server: ['mobileVisible'],
  },
  indexes: [index(['phaseId', 'position']), index(['projectId', 'status'])],
})
