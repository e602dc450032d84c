import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newTask, patchTask } from './tasks.ts'
import { createWorld, type World } from './world.ts'

let db: TestDatabase
let world: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database)
})
afterAll(() => db.close())

const base = { title: 'A' }

describe.each(['\u0000', '\ud800'])('a write with %j, which no text of the database has', (character) => {
  const bad = `a\\u0000${character}b`
  test.each([
    ['a value', (id: string) => patchTask(id, { title: bad }, base)],
    ['a base', (id: string) => patchTask(id, { title: 'B' }, { title: bad })],
    ['the name of a column', (id: string) => patchTask(id, { [bad]: 'B' }, { [bad]: 'A' })],
    ['the name of a table', (id: string) => ({ ...patchTask(id, { title: 'B' }, base), table: bad })],
  ])('in %s is refused for good, so that the writes behind it get through', async (_where, make) => {
    const id = await newTask(world)
    const refused = world.ada.make(make(id))
    expect(await world.ada.push([refused])).toMatchObject([{ kind: 'rejected' }])
    expect(await world.ada.push([refused])).toMatchObject([{ kind: 'rejected' }])
    expect(await world.ada.one(patchTask(id, { title: 'C' }, base))).toMatchObject({ kind: 'applied' })
    const [stored] = await world.query<{ payload: unknown; table: string }>(
      'select payload, table_name as "table" from sync_mutations where id = $1',
      [refused.id],
    )
    expect(JSON.stringify(stored)).toContain(String.raw`a\\u0000` + '\ufffdb')
  })
})
