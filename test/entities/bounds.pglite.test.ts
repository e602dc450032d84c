import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, type World } from '../migrations/rows.ts'

let db: TestDatabase
let world: World
let device: string
let memory: string
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database.pool)
  device = (
    await insert(db.database.pool, 'devices', {
      organization_id: world.organization,
      user_id: world.user,
      fingerprint: 'fingerprint',
      name: 'd',
      kind: 'cli',
    })
  ).id
  memory = (
    await insert(db.database.pool, 'memories', {
      organization_id: world.organization,
      scope: 'organization',
      content: 'c',
    })
  ).id
})
afterAll(() => db.close())

test('a bound is allowed itself', async () => {
  const bounds = { importance: 1, confidence: 0, decay_rate: 1, title: 'x'.repeat(255), content: '😀'.repeat(100_000) }
  await expect(
    insert(db.database.pool, 'memories', { organization_id: world.organization, scope: 'organization', ...bounds }),
  ).resolves.toMatchObject({ importance: '1.000' })
})

test.each([
  [
    'tasks',
    () => ({
      organization_id: world.organization,
      project_id: world.project,
      title: 'T',
      mobile_task_id: 'm',
      origin_device_id: device,
    }),
  ],
  ['memory_tags', () => ({ organization_id: world.organization, memory_id: memory, tag: 'urgent' })],
] as const)('a unique key of %s covers live rows only', async (table, row) => {
  const first = await insert(db.database.pool, table, row())
  await expect(insert(db.database.pool, table, row())).rejects.toMatchObject({ code: '23505' })
  await db.database.pool.query(`update ${table} set deleted_at = now() where id = $1`, [first.id])
  await expect(insert(db.database.pool, table, row())).resolves.toBeDefined()
})

test('the deletion of an organization takes all of it along', async () => {
  await db.database.pool.query('delete from organizations where id = $1', [world.organization])
  const { rows } = await db.database.pool.query(
    'select (select count(*) from tasks) + (select count(*) from memories) + (select count(*) from projects) as left_over',
  )
  expect(Number(rows[0].left_over)).toBe(0)
})
