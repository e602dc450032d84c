import { enumeration, reference } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

/** Depends_on[] and prerequisite_tasks[] as rows with foreign keys. */
export const taskDependencies = defineTable({
  table: 'task_dependencies',
  module: 'planning',
  direction: 'rw',
  policy: 'set',
  writers: ['member', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  naturalKey: ['taskId', 'dependsOnTaskId', 'kind'],
  columns: {
    ...syncedColumns(),
    projectId: reference('projects', 'cascade'),
    taskId: reference('tasks', 'cascade'),
    dependsOnTaskId: reference('tasks', 'cascade'),
    kind: enumeration(['depends_on', 'prerequisite']).default('depends_on'),
  },
  classes: {
    fixed: ['projectId', 'taskId', 'dependsOnTaskId', 'kind'],
  },
  indexes: [unique(['taskId', 'dependsOnTaskId', 'kind'], { where: live }), index(['dependsOnTaskId'])],
  checks: {
    task_id_depends_on_task_id: 'task_id <> depends_on_task_id',
  },
})
