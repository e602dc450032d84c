import { bigint, double, integer, json, numeric, reference, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { authorColumns, recordColumns } from '../mixins.ts'

/** Inputs that improve cost estimates. */
export const complexityMetrics = defineTable({
  table: 'complexity_metrics',
  module: 'memory',
  direction: 'rw',
  policy: 'append',
  writers: ['agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...recordColumns(),
    ...authorColumns(),
    projectId: reference('projects', 'cascade'),
    taskId: reference('tasks', 'set null').nullable(),
    macroStepId: reference('macro_steps', 'set null').nullable(),
    repositoryId: reference('repositories', 'set null').nullable(),
    linesOfCode: integer().nullable(),
    filesTouched: integer().nullable(),
    dependencyCount: integer().nullable(),
    cyclomaticComplexity: numeric(10, 2).nullable(),
    integrationCount: integer().nullable(),
    novelty: numeric(3, 2).between(0, 1).nullable(),
    ambiguity: numeric(3, 2).between(0, 1).nullable(),
    complexityScore: numeric(5, 2).between(0, 100),
    factors: json().default({}),
    estimatedTokens: bigint().min(0).nullable(),
    actualTokens: bigint().min(0).nullable(),
    estimationError: double().generated(
      'case when actual_tokens > 0 then (estimated_tokens - actual_tokens)::double precision / actual_tokens::double precision else null::double precision end',
    ),
    measuredAt: timestamp().defaultSql('now()'),
  },
  indexes: [index(['projectId', 'measuredAt']), index(['taskId']), index(['macroStepId'])],
})
