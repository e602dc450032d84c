// What ten devices of one organization did offline arrives in any order, and more than once.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import type { Mutation } from '../../protocol/messages/mutation.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { insertTask, patchTask, readTask } from './tasks.ts'
import { createWorld, newId, type TestDevice, type World } from './world.ts'

let test: TestDatabase
let world: World
let devices: readonly TestDevice[]

beforeAll(async () => {
  test = await createTestDatabase()
  world = await createWorld(test.database)
  const ids = Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? world.ada : world.ben).principal.id)
  devices = await Promise.all(ids.map((id) => world.device('user', id)))
})
afterAll(() => test.close())

async function newMemory(): Promise<string> {
  const rowId = newId()
  const set = { scope: 'project', projectId: world.projectId, content: 'C' }
  expect(await world.ada.one({ table: 'memories', op: 'insert', rowId, set })).toMatchObject({ kind: 'applied' })
  return rowId
}

it('increments from ten devices sum exactly', async () => {
  const rowId = await newMemory()
  await Promise.all(
    devices.map((device, index) =>
      device.send(
        ...[1, 2, 3].map(
          (n) => ({ table: 'memories', op: 'increment', rowId, inc: { reinforcementCount: n * (index + 1) } }) as const,
        ),
      ),
    ),
  )
  // (1 + 2 + 3) × (1 + … + 10)
  expect(await world.query('select reinforcement_count from memories where id = $1', [rowId])).toEqual([
    { reinforcement_count: 330 },
  ])
})

it('the same tag added by ten offline devices is one row', async () => {
  const memoryId = await newMemory()
  const rowId = uuidFromKey('memory_tags', [memoryId, 'tide'])
  const outcomes = await Promise.all(
    devices.map((device) => device.one({ table: 'memory_tags', op: 'insert', rowId, set: { memoryId, tag: 'tide' } })),
  )
  expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['applied', ...Array.from({ length: 9 }, () => 'noop')])
  expect(await world.query('select id, version from memory_tags where memory_id = $1', [memoryId])).toEqual([
    { id: rowId, version: 1 },
  ])
})

it('the same memory of two devices is one, and the second is told which', async () => {
  const [first, second] = [newId(), newId()]
  const set = { scope: 'project', projectId: world.projectId, content: 'Both remember this' }
  const remember = (device: TestDevice, rowId: string) => device.one({ table: 'memories', op: 'insert', rowId, set })
  expect(await remember(world.ada, first)).not.toHaveProperty('standsFor')
  expect(await remember(world.ben, second)).toMatchObject({ kind: 'applied', standsFor: first })
})

it('each mutation repeated three times changes the server once', async () => {
  const [device] = devices
  if (!device) throw new Error('There is no device.')
  const memory = await newMemory()
  const task = insertTask(world)
  const mutations: readonly Mutation[] = [
    device.make(task),
    device.make(patchTask(task.rowId, { title: 'B' }, { title: 'A' })),
    device.make({ table: 'memories', op: 'increment', rowId: memory, inc: { accessCount: 1 } }),
    device.make({ table: 'tasks', op: 'delete', rowId: task.rowId }),
    device.make({ table: 'tasks', op: 'restore', rowId: task.rowId }),
  ]
  const first = await device.push(mutations)
  expect(first.map(({ kind }) => kind)).toEqual(['applied', 'applied', 'applied', 'applied', 'applied'])
  const state = async (): Promise<unknown> => [
    await readTask(world, task.rowId),
    await world.query('select * from memories where id = $1', [memory]),
    await world.query(`select seq from sync_changes where row_id in ($1, $2)`, [task.rowId, memory]),
  ]
  const once = await state()
  // As a whole, one by one, and from any place on: what was interrupted begins again anywhere.
  expect(await device.push(mutations)).toEqual(first)
  for (const [index, mutation] of mutations.entries()) {
    expect(await device.push([mutation])).toEqual([first[index]])
    expect(await device.push(mutations.slice(index))).toEqual(first.slice(index))
  }
  expect(await state()).toEqual(once)
})
