/**
 * A phone-like device: its replica is a folder, it edits offline, is switched off, comes back, and meets a conflict.
 *
 *   TIDEWIRE_TOKEN=$(npx tidewire token --user ben@example.com) npx node examples/device.ts ./phone
 */
import { connect, type Client, type FollowedChannel } from '@tidewire/client'
import { settings } from './settings.ts'

const { url, token } = settings()
const dir = process.argv[2] ?? './phone'

function openPhone(): Promise<Client> {
  return connect({ url, token, replica: { kind: 'pglite', dir }, device: { name: 'phone', kind: 'mobile' } })
}

/** Follows the tasks of the demo project, and waits until they are here. */
async function followTasks(tide: Client, projectId: string): Promise<FollowedChannel> {
  const followed = await tide.subscribe({ project: projectId }, { tables: ['tasks'] })
  await followed.ready
  return followed
}

let phone = await openPhone()
const organization = await phone.subscribe({ organization: true }, { tables: ['projects'] })
await organization.ready
const [project] = await phone.projects.find({ where: { slug: 'demo' } })
if (project === undefined) throw new Error('There is no project "demo" here: run `npx tidewire seed --demo` first.')
await followTasks(phone, project.id)
const task = await phone.tasks.insert({ projectId: project.id, title: 'Buy a ladder' })
await task.$write.wait('synced')

console.log('The phone loses its network, edits, and is switched off.')
phone.disconnect()
await phone.tasks.update(task.id, { title: 'Buy a long ladder' })
await phone.close()

console.log('Meanwhile somebody edits the same title at a desk.')
const desk = await connect({ url, token, replica: { kind: 'memory' }, device: { name: 'desk', kind: 'desktop' } })
await followTasks(desk, project.id)
const edit = await desk.tasks.update(task.id, { title: 'Buy a short ladder', priority: 'high' })
await edit.wait('synced')

console.log('The phone is switched on again: its edit is still there, and is sent.')
phone = await openPhone()
const [write] = await phone.writes.find()
console.log(`  kept while off: ${write?.table} ${JSON.stringify(write?.set)}`)

for await (const open of phone.conflicts.live()) {
  const conflict = open.find(({ rowId }) => rowId === task.id)
  if (conflict === undefined) continue
  console.log(`  conflict: mine ${JSON.stringify(conflict.mine)}, theirs ${JSON.stringify(conflict.theirs)}`)
  await phone.conflicts.resolve(conflict.id, { title: 'Buy a ladder of middle length' })
  break
}
await phone.synced()

for await (const [row] of desk.tasks.live({ where: { id: task.id } })) {
  if (row?.title !== 'Buy a ladder of middle length') continue
  console.log(`Settled everywhere: "${row.title}", priority ${row.priority}, ${row.$sync.status}`)
  break
}
await Promise.all([phone.close(), desk.close()])
