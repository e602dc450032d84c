import { TideError } from '../../protocol/error.ts'
import type { Client } from '../../client-sdk/client.ts'
import type { Dice } from './dice.ts'
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
type Act = (scene: Scene) => Promise<unknown>

interface Scene {
  readonly world: World
  readonly device: SimClient
  readonly tide: Client
  readonly dice: Dice
}

const insertTask: Act = ({ world, device, tide, dice }) =>
  tide.tasks.insert({
    projectId: dice.chance(0.7) ? world.projects.open : world.projects.secret,
    title: `Task of ${device.name} ${world.clock.monotonic()}`,
  })

/** An app of an older version knows nothing of some columns and tables. */
function known(device: SimClient, table: string, values: Readonly<Record<string, unknown>>): boolean {
  const columns = Object.values(device.schema).find(({ name }) => name === table)?.columns
  return columns !== undefined && Object.keys(values).every((name) => name in columns)
}

const updateTask: Act = async ({ world, device, tide, dice }) => {
  const task = dice.pick(await tide.tasks.find({ withDeleted: dice.chance(0.1) }))
  if (task === undefined) return
  const text = `${device.name} ${Math.floor(world.clock.monotonic())}`
  const changes =
    dice.pick([
      { title: text },
      { priority: dice.pick(priorities) ?? 'low' },
      { status: dice.pick(statuses) ?? 'pending' },
      { description: `line one\n${text}\nline three\n` },
      { tags: [dice.pick(tags) ?? 'red', dice.pick(tags) ?? 'blue'] },
      { metadata: { [dice.pick(tags) ?? 'red']: text } },
      { progressPercentage: Math.floor(dice.next() * 100), position: Math.floor(dice.next() * 10) },
    ]) ?? {}
  if (known(device, 'tasks', changes)) await tide.tasks.update(task.id, changes)
}

const deleteTask: Act = async ({ tide, dice }) => {
  const task = dice.pick(await tide.tasks.find())
  if (task !== undefined && dice.chance(0.5)) await tide.tasks.delete(task.id)
}

const restoreTask: Act = async ({ tide, dice }) => {
  const task = dice.pick((await tide.tasks.find({ withDeleted: true })).filter(({ deletedAt }) => deletedAt !== null))
  if (task !== undefined) await tide.tasks.restore(task.id)
}

const insertSubtask: Act = async ({ tide, dice }) => {
  const parent = dice.pick(await tide.tasks.find())
  if (parent !== undefined)
    await tide.tasks.insert({ projectId: parent.projectId, parentTaskId: parent.id, title: 'Part' })
}

const remember: Act = ({ world, device, tide }) =>
  tide.memories.insert({
    content: `Memory of ${device.name} ${world.clock.monotonic()}`,
    scope: 'project',
    projectId: world.projects.open,
  })

const reinforce: Act = async ({ tide, dice }) => {
  const memory = dice.pick(await tide.memories.find())
  if (memory !== undefined) await tide.memories.increment(memory.id, { reinforcementCount: 1 })
}

const tag: Act = async ({ device, tide, dice }) => {
  if (!known(device, 'memory_tags', {})) return
  const memory = dice.pick(await tide.memories.find())
  if (memory !== undefined) await tide.memoryTags.insert({ memoryId: memory.id, tag: dice.pick(tags) ?? 'red' })
}

const untag: Act = async ({ device, tide, dice }) => {
  if (!known(device, 'memory_tags', {})) return
  const found = dice.pick(await tide.memoryTags.find())
  if (found !== undefined) await tide.memoryTags.delete(found.id)
}

const group: Act = async ({ world, tide, dice }) => {
  const task = dice.pick(await tide.tasks.find())
  if (task === undefined) return
  await tide.transaction(async (tx) => {
    await tx.tasks.update(task.id, { title: `Grouped ${Math.floor(world.clock.monotonic())}` })
    await tx.tasks.insert({ projectId: task.projectId, title: 'Grouped too' })
  })
}

const resolve: Act = async ({ tide, dice }) => {
  const conflict = dice.pick(await tide.conflicts.find({ where: { status: 'open' } }))
  if (conflict !== undefined) await tide.conflicts.resolve(conflict.id, dice.chance(0.5) ? 'client' : 'server')
}

const tidyUp: Act = async ({ tide, dice }) => {
  const refused = dice.pick(await tide.writes.find({ status: 'rejected' }))
  if (refused !== undefined) await (dice.chance(0.3) ? tide.writes.retry(refused.id) : tide.writes.discard(refused.id))
}

const acts: Readonly<Record<string, { readonly weight: number; readonly act: Act }>> = {
  insertTask: { weight: 2, act: insertTask },
  updateTask: { weight: 4, act: updateTask },
  deleteTask: { weight: 1, act: deleteTask },
  restoreTask: { weight: 1, act: restoreTask },
  insertSubtask: { weight: 1, act: insertSubtask },
  remember: { weight: 1, act: remember },
  reinforce: { weight: 2, act: reinforce },
  tag: { weight: 1, act: tag },
  untag: { weight: 1, act: untag },
  group: { weight: 1, act: group },
  resolve: { weight: 2, act: resolve },
  tidyUp: { weight: 1, act: tidyUp },
}

/** As often as they are done. */
export const actNames: readonly string[] = Object.entries(acts).flatMap(([name, { weight }]) =>
  Array.from({ length: weight }, () => name),
)

export async function act(scene: Scene, what: string, journal: Journal): Promise<void> {
  const found = acts[what]
  if (found === undefined) throw new Error(`A plan has an act "${what}", and there is none of this name.`)
  try {
    await found.act(scene)
    if (scene.tide.status.connection !== 'live') scene.world.tally.add('write made offline')
  } catch (error) {
    if (!(error instanceof TideError) || !acceptable.has(error.code))
      journal.problems.push(
        `${scene.device.name}: ${String(error)} ${error instanceof Error ? (error.stack ?? '') : ''}`,
      )
  }
}
