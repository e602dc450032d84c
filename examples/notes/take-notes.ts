/**
 * Writes a note, and follows the notes of the demo project. The server has the table by TIDEWIRE_APP (application.ts).
 *
 *   TIDEWIRE_TOKEN=$(npx tidewire token --user ada@example.com) npx node examples/notes/take-notes.ts
 *
 * Ctrl-C ends it. With --once it ends after its note has synced.
 */
import { connect } from '@tidewire/client'
import { settings } from '../settings.ts'
import { schema } from './schema.generated.ts'

const { url, token, isOnce } = settings()
const device = { name: 'take-notes', kind: 'cli' } as const
const tide = await connect({ url, token, schema, replica: { kind: 'memory' }, device })
await (
  await tide.subscribe({ organization: true }, { tables: ['projects'] })
).ready
const [project] = await tide.projects.find({ where: { slug: 'demo' } })
if (project === undefined) throw new Error('There is no project "demo" here: run `npx tidewire seed --demo` first.')
await (
  await tide.subscribe({ project: project.id }, { tables: ['notes'] })
).ready

const stop = tide.notes.live({ where: { projectId: project.id } }, (notes) => {
  for (const { title, mood, $sync } of notes) console.log(`${$sync.status.padEnd(12)} ${mood.padEnd(8)} ${title}`)
})
const note = await tide.notes.insert({ projectId: project.id, title: 'A table of our own' })
await note.$write.wait('synced')

if (isOnce) {
  stop()
  await tide.close()
}
