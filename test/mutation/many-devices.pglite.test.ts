// What ten devices of one organization did offline arrives in any order, and more than once.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import type { Mutation } from '../../protocol/messages/mutation.ts'
import { createMutations } from '../../server/mutation/mutations.ts'
import { createSqlMutationStore } from '../../server/mutation/sql-mutation-store.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { cutConnections } from '../support/cut-connections.ts'
import { insertTask, newTask, patchTask } from './tasks.ts'
import { catalog, createWorld, newId, type TestDevice, type World } from './world.ts'

let db: TestDatabase
let world: World
let devices: readonly TestDevice[]

beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database)
  const ids = Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? world.ada : world.ben).principal.id)
  devices = await Promise.all(ids.map((id) => world.device('user', id)))
})
afterAll(() => db.close())

async function newMemory(): Promise<string> {
  const rowId = newId()
  const set = { scope: 'project', projectId: world.projectId, content: 'C' }
  expect(await world.ada.one({ table: 'memories', op: 'insert', rowId, set })).toMatchObject({ kind: 'applied' })
  return rowId
}

test('increments from ten devices sum exactly', async () => {
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

test('the same tag added by ten offline devices is one row', async () => {
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

test('the same memory of two devices is one, and the second is told which', async () => {
  const [first, second] = [newId(), newId()]
  const set = { scope: 'project', projectId: world.projectId, content: 'Both remember this' }
  const remember = (device: TestDevice, rowId: string) => device.one({ table: 'memories', op: 'insert', rowId, set })
  expect(await remember(world.ada, first)).not.toHaveProperty('standsFor')
  expect(await remember(world.ben, second)).toMatchObject({ kind: 'applied', standsFor: first })
})

/** Rows for one batch, and the batch: every operation, a resolution among them, and three writes that hold together. */
async function newBatch(device: TestDevice): Promise<Batch> {
  const [memory, disputed] = [await newMemory(), await newTask(world)]
  await world.ada.one(patchTask(disputed, { title: 'theirs' }, { title: 'A' }))
  const { conflictId = '' } = await world.ben.one(patchTask(disputed, { title: 'mine' }, { title: 'A' }))
  const [task, grouped] = [insertTask(world), insertTask(world)]
  const group = newId()
  const count = { table: 'memories', op: 'increment', rowId: memory, inc: { accessCount: 1 } } as const
  const mutations = [
    task,
    patchTask(task.rowId, { title: 'B' }, { title: 'A' }),
    count,
    { ...grouped, group },
    { ...count, group },
    { ...patchTask(grouped.rowId, { title: 'C' }, { title: 'A' }), group },
    { table: 'tasks', op: 'delete', rowId: task.rowId } as const,
    { table: 'tasks', op: 'restore', rowId: task.rowId } as const,
    { table: 'sync_conflicts', op: 'resolve', rowId: conflictId, set: { take: 'client' } } as const,
  ].map((fields) => device.make(fields))
  const state = async (): Promise<unknown> => ({
    tasks: await world.query(
      `select title, version, deleted_at from tasks where id = any ($1) order by array_position($1, id)`,
      [[task.rowId, grouped.rowId, disputed]],
    ),
    counted: await world.query('select access_count::int as n from memories where id = $1', [memory]),
    conflicts: await world.query('select status, version from sync_conflicts where row_id = $1', [disputed]),
    answered: await world.query('select result from sync_mutations where id = any ($1) order by client_seq', [
      mutations.map(({ id }) => id),
    ]),
  })
  return { mutations, state }
}

interface Batch {
  readonly mutations: readonly Mutation[]
  /** What the server holds of it. */
  readonly state: () => Promise<unknown>
}

/** What the server holds of a batch that was taken once. */
const once = {
  tasks: [
    { title: 'B', version: 4, deleted_at: null },
    { title: 'C', version: 2, deleted_at: null },
    { title: 'mine', version: 3, deleted_at: null },
  ],
  counted: [{ n: 2 }],
  conflicts: [{ status: 'resolved', version: 2 }],
  answered: Array.from({ length: 9 }, () => ({ result: expect.objectContaining({ kind: 'applied' }) as unknown })),
}
const never = {
  tasks: [{ title: 'theirs', version: 2, deleted_at: null }],
  counted: [{ n: 0 }],
  conflicts: [{ status: 'open', version: 1 }],
  answered: [],
}

test('each mutation repeated three times changes the server once', async () => {
  const device = await world.device('user', world.ada.principal.id)
  const { mutations, state } = await newBatch(device)
  expect(await state()).toEqual(never)
  const first = await device.push(mutations)
  const feed = () =>
    world.query('select seq from sync_changes where row_id = any ($1)', [mutations.map(({ rowId }) => rowId)])
  const entries = await feed()
  expect(await state()).toEqual(once)
  // As a whole, one by one, and any part of it, halves of the group too.
  expect(await device.push(mutations)).toEqual(first)
  for (const [index, mutation] of mutations.entries()) {
    expect(await device.push([mutation])).toEqual([first[index]])
    expect(await device.push(mutations.slice(index))).toEqual(first.slice(index))
    expect(await device.push(mutations.slice(0, index))).toEqual(first.slice(0, index))
  }
  expect(await state()).toEqual(once)
  expect(await feed()).toEqual(entries)
})

test('a batch of which any first part had arrived goes on behind it', async () => {
  const device = await world.device('user', world.ada.principal.id)
  for (let length = 1; length < once.answered.length; length++) {
    const { mutations, state } = await newBatch(device)
    const first = await device.push(mutations.slice(0, length))
    const whole = await device.push(mutations)
    expect(whole.slice(0, length)).toEqual(first)
    expect(await state(), `${length} writes had arrived`).toEqual(once)
  }
})

test('a batch whose connection dies at any statement is taken whole or not at all, and once', async () => {
  const { pool } = db.database
  const device = await world.device('user', world.ada.principal.id)
  const pushBy = (clock: Clock, mutations: readonly Mutation[]) =>
    createMutations({ store: createSqlMutationStore({ pool, catalog, clock }), catalog, clock }).push(
      device.principal,
      mutations,
    )
  // Of a server that does not come to its next attempt.
  const died = new Error('The server died.')
  const mortal: Clock = {
    ...systemClock,
    after: () => {
      throw died
    },
  }
  const { mutations, state } = await newBatch(device)
  let statements = 0
  for (; ; statements++) {
    using cut = cutConnections(pool, statements, 'unsent')
    const answer = await pushBy(mortal, mutations).catch((error: unknown) => error)
    cut[Symbol.dispose]()
    if (cut.connections === 0) break
    expect(answer, `dead at statement ${statements}`).toBe(died)
    expect(await state(), `dead at statement ${statements}`).toEqual(never)
  }
  // The beginning, the device, its ledger, rows, writes, outcomes and the commit at least.
  expect(statements).toBeGreaterThan(6)
  expect(await state()).toEqual(once)

  // The commit is done, and nobody hears of it: the next attempt finds the answers.
  const other = await newBatch(device)
  using cut = cutConnections(pool, statements - 1, 'unanswered')
  const answers = await pushBy(systemClock, other.mutations)
  cut[Symbol.dispose]()
  expect(cut.connections).toBe(1)
  expect(await device.push(other.mutations)).toEqual(answers)
  expect(await other.state()).toEqual(once)
})
