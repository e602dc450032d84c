/**
 * Watches the tasks of the demo project, live, and adds one.
 *
 *   TIDEWIRE_TOKEN=$(npx tidewire token --user ada@example.com) npx node examples/watch-tasks.ts
 *
 * Leave it running and change a task elsewhere; Ctrl-C ends it. With --once it ends after its own task has synced.
 */
import { connect } from '@tidewire/client'
import { settings } from './settings.ts'

const { url, token, isOnce } = settings()
const tide = await connect({ url, token, replica: { kind: 'memory' }, device: { name: 'watch-tasks', kind: 'cli' } })
tide.onStatus(({ connection, error }) => {
  if (error !== undefined) console.error(`${connection}: ${error.message}`)
})

const organization = await tide.subscribe({ organization: true }, { tables: ['projects'] })
await organization.ready
const [project] = await tide.projects.find({ where: { slug: 'demo' } })
if (project === undefined) throw new Error('There is no project "demo" here: run `npx tidewire seed --demo` first.')

const followed = await tide.subscribe({ project: project.id }, { tables: ['tasks'] })
await followed.ready

const newest = { where: { projectId: project.id }, orderBy: [{ createdAt: 'desc' }], limit: 10 } as const
const stop = tide.tasks.live(newest, (tasks, { added, updated, removed }) => {
  console.log(
    `\n${tasks.length} newest tasks: ${added.length} added, ${updated.length} changed, ${removed.length} gone`,
  )
  for (const task of [...added, ...updated])
    console.log(`  ${task.$sync.status.padEnd(12)} ${task.status.padEnd(12)} ${task.title}`)
})

const task = await tide.tasks.insert({
  projectId: project.id,
  title: `Say hello at ${new Date().toLocaleTimeString('en-GB')}`,
})
await task.$write.wait('synced')

if (isOnce) {
  stop()
  await tide.close()
}
