import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { insertTask, newTask, patchTask, readTask } from './tasks.ts'
import { createWorld, newId, type World } from './world.ts'

let db: TestDatabase
let world: World

beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database)
})
afterAll(() => db.close())

describe('a group', () => {
  test('is applied whole', async () => {
    const group = newId()
    const [a, b] = [insertTask(world), insertTask(world)]
    expect(
      await world.ada.send(
        { ...a, group },
        { ...b, group },
        { ...patchTask(a.rowId, { title: 'B' }, { title: 'A' }), group },
      ),
    ).toMatchObject([{ kind: 'applied' }, { kind: 'applied' }, { kind: 'applied' }])
    expect(
      await world.query('select distinct batch_id from sync_mutations where row_id = any($1)', [[a.rowId, b.rowId]]),
    ).toEqual([{ batch_id: group }])
  })

  test('is refused whole, and its neighbours are not', async () => {
    const group = newId()
    const [before, inside, after] = [insertTask(world), insertTask(world), insertTask(world)]
    const outcomes = await world.ada.send(
      before,
      { ...inside, group },
      { ...insertTask(world, { title: '' }), group },
      after,
    )
    expect(outcomes).toMatchObject([
      { kind: 'applied' },
      { kind: 'rejected', error: { code: 'group_refused' } },
      { kind: 'rejected', error: { code: 'invalid_value' } },
      { kind: 'applied' },
    ])
    expect([
      await readTask(world, inside.rowId),
      (await readTask(world, before.rowId))['title'],
      (await readTask(world, after.rowId))['title'],
    ]).toEqual([{}, 'A', 'A'])
  })

  test('is undone by what only the database can refuse', async () => {
    const group = newId()
    const inside = insertTask(world)
    const outcomes = await world.ada.send(
      { ...inside, group },
      { table: 'teams', op: 'insert', set: { name: 'x', slug: 'NO WAY' }, group },
    )
    expect(outcomes).toMatchObject([{ error: { code: 'group_refused' } }, { error: { code: 'constraint_violated' } }])
    expect(await readTask(world, inside.rowId)).toEqual({})
  })

  test('is refused by a conflict, and opens none', async () => {
    const id = await newTask(world)
    await world.ben.one(patchTask(id, { title: 'B' }, { title: 'A' }))
    const group = newId()
    const other = insertTask(world)
    const outcomes = await world.ada.send(
      { ...other, group },
      { ...patchTask(id, { title: 'C' }, { title: 'A' }), group },
    )
    expect(outcomes).toMatchObject([
      { error: { code: 'group_refused' } },
      { error: { code: 'group_refused' }, columns: ['title'] },
    ])
    expect(await world.query('select id from sync_conflicts where row_id = $1', [id])).toEqual([])
    expect(await readTask(world, other.rowId)).toEqual({})
  })
})

describe('dependencies', () => {
  test('refuse what builds upon a refused write, in the same push and later', async () => {
    const refused = world.ada.make(insertTask(world, { title: '' }))
    const child = world.ada.make({ ...insertTask(world), dependsOn: [refused.id] })
    expect(await world.ada.push([refused, child])).toMatchObject([
      { error: { code: 'invalid_value' } },
      { error: { code: 'dependency_rejected' } },
    ])
    expect(await world.ada.one({ ...insertTask(world), dependsOn: [refused.id] })).toMatchObject({
      error: { code: 'dependency_rejected' },
    })
    expect(await world.ada.one(insertTask(world))).toMatchObject({ kind: 'applied' })
  })

  test('wait for the fate of a write that the database judges', async () => {
    const refused = world.ada.make({ table: 'teams', op: 'insert', set: { name: 'x', slug: 'NO WAY' } })
    expect(
      await world.ada.push([refused, world.ada.make({ ...insertTask(world), dependsOn: [refused.id] })]),
    ).toMatchObject([{ error: { code: 'constraint_violated' } }, { error: { code: 'dependency_rejected' } }])
  })
})
