import { afterAll, beforeAll, expect, test } from 'vitest'
import { memories } from '../../server/entities/memory/memories.ts'
import { tasks } from '../../server/entities/planning/tasks.ts'
import { createWorld, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let db: TestDatabase
let world: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database.pool)
})
afterAll(() => db.close())

const entityManager = async () => (await db.database.orm()).em.fork()

test('a row goes through the ORM and back, with what the database filled in', async () => {
  const em = await entityManager()
  // The trigger names the channel; the ORM wants a value for a column without default.
  const task = em.create(tasks, {
    organizationId: world.organization,
    projectId: world.project,
    channel: '',
    title: 'T',
    tags: ['a', 'b'],
    progressPercentage: 12.5,
    deadline: new Date('2026-11-22T01:42:36.123Z'),
    metadata: { by: 'test' },
  })
  await em.flush()
  em.clear()
  const found = await em.findOneOrFail(tasks, { id: task.id })
  expect(found).toMatchObject({
    projectId: world.project,
    channel: `project/${world.project}`,
    version: 1,
    status: 'pending',
    priorityRank: 2,
    tags: ['a', 'b'],
    progressPercentage: 12.5,
    deadline: new Date('2026-11-22T01:42:36.123Z'),
    metadata: { by: 'test' },
    parentTaskId: null,
  })
})

test('reading a row makes nothing dirty', async () => {
  const em = await entityManager()
  await em.findAll(tasks)
  em.getUnitOfWork().computeChangeSets()
  expect(em.getUnitOfWork().getChangeSets()).toEqual([])
})

test('an update raises the version in the database', async () => {
  const em = await entityManager()
  const [task] = await em.findAll(tasks)
  if (!task) throw new Error('The first test made a task.')
  task.status = 'in_progress'
  await em.flush()
  em.clear()
  expect(await em.findOneOrFail(tasks, { id: task.id })).toMatchObject({ version: 2, startedAt: expect.any(Date) })
})

test('an embedding is a Float32Array', async () => {
  const em = await entityManager()
  const embedding = Float32Array.from({ length: 384 }, (_, index) => index / 384)
  const memory = em.create(memories, {
    organizationId: world.organization,
    channel: '',
    scope: 'organization',
    content: 'c',
    embedding,
  })
  await em.flush()
  em.clear()
  expect((await em.findOneOrFail(memories, { id: memory.id })).embedding).toEqual(embedding)
})
