/**
 * A phone-like device: its replica is a folder, it edits offline, is switched off, comes back, and meets a conflict.
 *
 *   TIDEWIRE_TOKEN=$(npx tidewire token --user ben@example.com) npx node examples/device.ts ./phone
 */
import { connect, type Client } from '@tidewire/client'
import { settings } from './settings.ts'

const { url, token } = settings()
const dir = process.argv[2] ?? './phone'
const openPhone = (): Promise<Client> => connect({ url, token, replica: { kind: 'pglite', dir }, device: { name: 'phone', kind: 'mobile' } })

let phone = await openPhone()
const organization = await phone.subscribe({ organization: true }, { tables: ['projects'] })
await organization.ready
const [project] = await phone.projects.find({ where: { slug: 'demo' } })
if (project === undefined) throw new Error('The demo data is missing: run `npx tidewire seed --demo` first.')
const followed = await phone.subscribe({ project: project.id }, { tables: ['tasks'] })
await followed.ready
const task = await phone.tasks.insert({ projectId: project.id, title: 'Buy a ladder' })
await task.$write.wait('synced')

console.log('The phone loses its network and edits.')
phone.disconnect()
await phone.tasks.update(task.id, { title: 'Buy a long ladder' })
await phone.close()

console.log('Meanwhile somebody edits the same title on a desk.')
const desk = await connect({ url, token, replica: { kind: 'memory' }, device: { name: 'desk', kind: 'desktop' } })
const onDesk = await desk.subscribe({ project: project.id }, { tables: ['tasks'] })
await onDesk.ready
const edit = await desk.tasks.update(task.id, { title: 'Buy a short ladder', priority: 'high' })
await edit.wait('synced')

console.log('The phone is switched on again: its edit is still there, and is sent.')
phone = await openPhone()
const [write] = await phone.writes.find({ status: ['local', 'syncing'] })
console.log(`  kept while off: ${write?.table} ${JSON.stringify(write?.set)}`)

for await (const open of phone.conflicts.live()) {
  const [conflict] = open
  if (conflict === undefined) continue
  console.log(`  conflict: mine ${JSON.stringify(conflict.mine)}, theirs ${JSON.stringify(conflict.theirs)}`)
  await phone.conflicts.resolve(conflict.id, { title: 'Buy a ladder of middle length' })
  break
}
await phone.synced()
for await (const [row] of desk.tasks.live({ where: { id: task.id } })) {
  if (row?.title !== 'Buy a ladder of middle length') continue
  console.log(`Settled everywhere: "${row.title}", ${row.priority}, ${row.$sync.status}`)
  break
}
await Promise.all([phone.close(), desk.close()])
