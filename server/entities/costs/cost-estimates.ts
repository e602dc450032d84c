import { bigint, double, enumeration, json, numeric, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** Estimates for projects and steps, later compared with actual cost. */
export const costEstimates = defineTable({
  table: 'cost_estimates',
  module: 'costs',
  direction: 'rw',
  policy: 'merge',
  writers: ['member', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade'),
    planId: reference('plans', 'cascade').nullable(),
    phaseId: reference('phases', 'cascade').nullable(),
    macroStepId: reference('macro_steps', 'cascade').nullable(),
    taskId: reference('tasks', 'cascade').nullable(),
    costModelId: reference('cost_models', 'set null').nullable(),
    provider: text().nullable(),
    model: text().nullable(),
    status: enumeration(['draft', 'approved', 'superseded', 'closed']).default('draft'),
    estimatedInputTokens: bigint().min(0).default(0),
    estimatedOutputTokens: bigint().min(0).default(0),
    costLow: numeric(14, 6).min(0).nullable(),
    costExpected: numeric(14, 6).min(0),
    costHigh: numeric(14, 6).nullable(),
    confidence: numeric(3, 2).between(0, 1).nullable(),
    lineItems: json().default([]),
    assumptions: json().default([]),
    actualCost: numeric(18, 8).nullable(),
    varianceRatio: double().generated(
      'case when cost_expected > 0::numeric then ((actual_cost - cost_expected) / cost_expected)::double precision else null::double precision end',
    ),
    closedAt: timestamp().nullable(),
  },
  stamps: {
    closedAt: { when: "{}.status = 'closed'" },
  },
  classes: {
    fixed: ['projectId'],
    server: ['actualCost', 'closedAt'],
  },
  indexes: [index(['projectId', 'status']), index(['macroStepId']), index(['taskId'])],
  checks: {
    subject: 'num_nonnulls(plan_id, phase_id, macro_step_id, task_id) <= 1',
    range: 'cost_high is null or cost_low is null or cost_high >= cost_low',
  },
})
