import { TideError } from '../../protocol/error.ts'
import type { Client } from '../../client-sdk/client.ts'
import type { Journal } from './journal.ts'
import type { SimClient } from './sim-client.ts'
import type { World } from './world.ts'

const statuses = ['pending', 'assigned', 'in_progress', 'blocked', 'in_review', 'completed', 'cancelled'] as const
const priorities = ['low', 'medium', 'high', 'critical'] as const
const tags = ['red', 'green', 'blue'] as const

/** Codes with which the SDK may refuse a write that a random user asks for; anything else fails the simulation. */
const acceptable = new Set([
  'not_found',
  'row_deleted',
  'transition_refused',
  'conflict_already_resolved',
  'writes_in_flight',
  'unique_violated',
  'closed',
  'forbidden',
])

/** One random act of one device: what a person, an agent or an app would do. */
export async function act(world: World, device: SimClient, journal: Journal): Promise<void> {
  const { tide } = device
  if (tide === null) return
  try {
    await (world.pick(acts) ?? insertTask)(world, device, tide)
  } catch (error) {
    if (!(error instanceof TideError) || !acceptable.has(error.code))
      journal.problems.push(`${device.name}: ${String(error)} ${error instanceof Error ? (error.stack ?? '') : ''}`)
  }
}

type Act = (world: World, device: SimClient, tide: Client) => Promise<unknown>

const insertTask: Act = (world, device, tide) =>
  tide.tasks.insert({
    projectId: world.chance(0.7) ? world.projects.open : world.projects.secret,
    title: `Task of ${device.name} ${world.clock.monotonic()}`,
  })

const updateTask: Act = async (world, device, tide) => {
  const task = world.pick(await tide.tasks.find({ withDeleted: world.chance(0.1) }))
  if (task === undefined) return
  const text = `${device.name} ${Math.floor(world.clock.monotonic())}`
  await tide.tasks.update(
    task.id,
    world.pick([
      { title: text },
      { priority: world.pick(priorities) ?? 'low' },
      { status: world.pick(statuses) ?? 'pending' },
      { description: `line one\n${text}\nline three\n` },
      { tags: [world.pick(tags) ?? 'red', world.pick(tags) ?? 'blue'] },
      { metadata: { [world.pick(tags) ?? 'red']: text } },
      { progressPercentage: Math.floor(world.random.next() * 100), position: Math.floor(world.random.next() * 10) },
    ]) ?? {},
  )
}

const deleteTask: Act = async (world, _device, tide) => {
  const task = world.pick(await tide.tasks.find())
  if (task !== undefined && world.chance(0.5)) await tide.tasks.delete(task.id)
}

const restoreTask: Act = async (world, _device, tide) => {
  const task = world.pick((await tide.tasks.find({ withDeleted: true })).filter(({ deletedAt }) => deletedAt !== null))
  if (task !== undefined) await tide.tasks.restore(task.id)
}

const insertSubtask: Act = async (world, _device, tide) => {
  const parent = world.pick(await tide.tasks.find())
  if (parent !== undefined)
    await tide.tasks.insert({ projectId: parent.projectId, parentTaskId: parent.id, title: 'Part' })
}

const remember: Act = (world, device, tide) =>
  tide.memories.insert({
    content: `Memory of ${device.name} ${world.clock.monotonic()}`,
    scope: 'project',
    projectId: world.projects.open,
  })

const reinforce: Act = async (world, _device, tide) => {
  const memory = world.pick(await tide.memories.find())
  if (memory !== undefined) await tide.memories.increment(memory.id, { reinforcementCount: 1 })
}

const tag: Act = async (world, _device, tide) => {
  const memory = world.pick(await tide.memories.find())
  if (memory !== undefined) await tide.memoryTags.insert({ memoryId: memory.id, tag: world.pick(tags) ?? 'red' })
}

const untag: Act = async (world, _device, tide) => {
  const found = world.pick(await tide.memoryTags.find())
  if (found !== undefined) await tide.memoryTags.delete(found.id)
}

const group: Act = async (world, _device, tide) => {
  const task = world.pick(await tide.tasks.find())
  if (task === undefined) return
  await tide.transaction(async (tx) => {
    await tx.tasks.update(task.id, { title: `Grouped ${Math.floor(world.clock.monotonic())}` })
    await tx.tasks.insert({ projectId: task.projectId, title: 'Grouped too' })
  })
}

const resolve: Act = async (world, _device, tide) => {
  const conflict = world.pick(await tide.conflicts.find({ where: { status: 'open' } }))
  if (conflict !== undefined) await tide.conflicts.resolve(conflict.id, world.chance(0.5) ? 'client' : 'server')
}

const tidyUp: Act = async (world, _device, tide) => {
  const refused = world.pick(await tide.writes.find({ status: 'rejected' }))
  if (refused !== undefined) await (world.chance(0.3) ? tide.writes.retry(refused.id) : tide.writes.discard(refused.id))
}

const acts: readonly Act[] = [
  insertTask,
  insertTask,
  updateTask,
  updateTask,
  updateTask,
  updateTask,
  deleteTask,
  restoreTask,
  insertSubtask,
  remember,
  reinforce,
  reinforce,
  tag,
  untag,
  group,
  resolve,
  resolve,
  tidyUp,
]

/** What happens around the devices: other services, an administrator, the weather, power cuts. */
export async function disturb(world: World): Promise<void> {
  const device = world.pick(world.clients)
  const roll = world.random.next()
  if (device === undefined) return
  if (roll < 0.2) {
    world.network.partition(device.name)
    world.clock.after(world.random.next() * 5000, () => world.network.heal(device.name))
  } else if (roll < 0.35) {
    device.crash()
    await world.clock.sleep(world.random.next() * 1000)
    await device.open()
  } else if (roll < 0.45) world.crashServer()
  else if (roll < 0.55) device.tide?.disconnect()
  else if (roll < 0.65) device.tide?.connect()
  else if (roll < 0.75) world.toggleMembership(world.chance(0.5) ? world.benMembership : world.teamMembership)
  else if (roll < 0.8) world.restore()
  else if (roll < 0.85) world.restartDatabase()
  else {
    const task = world.pick(world.database.rows.all('tasks'))
    if (task !== undefined)
      world.foreignWrite('tasks', String(task['id']), { title: 'By another service', priority: 'critical' })
  }
}
