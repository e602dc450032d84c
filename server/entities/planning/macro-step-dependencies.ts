import { enumeration, reference } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

export const macroStepDependencies = defineTable({
  table: 'macro_step_dependencies',
  module: 'planning',
  direction: 'rw',
  policy: 'set',
  writers: ['member', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  naturalKey: ['macroStepId', 'dependsOnId'],
  columns: {
    ...syncedColumns(),
    projectId: reference('projects', 'cascade'),
    macroStepId: reference('macro_steps', 'cascade'),
    dependsOnId: reference('macro_steps', 'cascade'),
    kind: enumeration(['finish_to_start', 'start_to_start']).default('finish_to_start'),
  },
  classes: {
    fixed: ['projectId', 'macroStepId', 'dependsOnId'],
  },
  indexes: [unique(['macroStepId', 'dependsOnId'], { where: live }), index(['dependsOnId'])],
  checks: {
    macro_step_id_depends_on_id: 'macro_step_id <> depends_on_id',
  },
})
