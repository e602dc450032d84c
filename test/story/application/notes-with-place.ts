// The example application a version later: its table has one column more, with a default.
import { defineTable, enumeration, Migration, reference, syncedColumns, text } from 'tidewire'
import { AddNotes } from '../../../examples/notes/add-notes.ts'
import { schema as notesSchema } from '../../../examples/notes/schema.generated.ts'
import type { Schema } from '../../../protocol/rows/table.ts'

class AddPlace extends Migration {
  override up(): void {
    this.addSql(`alter table "notes" add column "place" text not null default 'desk'`)
  }

  override down(): void {
    this.addSql(`alter table "notes" drop column "place"`)
  }
}

export const entities = [
  defineTable({
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
      place: text().default('desk'),
    },
    classes: { fixed: ['projectId'], text3: ['body'] },
  }),
]
export const migrations = [AddNotes, AddPlace]

/** What clients of this version know. */
export const schema = {
  ...notesSchema,
  notes: {
    ...notesSchema.notes,
    columns: {
      ...notesSchema.notes.columns,
      place: { name: 'place', type: 'text', optional: true, default: 'desk' },
    },
  },
} as const satisfies Schema
