import { defineTable, enumeration, index, reference, syncedColumns, text } from 'tidewire'

/** Notes of a project: whoever may see the project sees them. */
export const notes = defineTable({
  table: 'notes',
  module: 'app',
  direction: 'rw',
  policy: 'merge',
  writers: ['member', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...syncedColumns(),
    projectId: reference('projects', 'cascade'),
    taskId: reference('tasks', 'set null').nullable(),
    title: text().len(1, 80),
    body: text().default(''),
    mood: enumeration(['calm', 'stormy']).default('calm'),
  },
  classes: { fixed: ['projectId'], text3: ['body'] },
  indexes: [index(['projectId', 'createdAt'])],
})
