/**
 * What a server is started with that has a table of its own, beside the shipped ones (docs/embedding.md):
 *
 *   TIDEWIRE_APP=examples/notes/application.ts npm start
 */
import { AddNotes } from './add-notes.ts'
import { notes } from './notes-table.ts'

export const entities = [notes]
export const migrations = [AddNotes]
