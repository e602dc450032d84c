import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { insertTask, newTask, patchTask } from './tasks.ts'
import { createWorld, newId, type World } from './world.ts'

let db: TestDatabase
let world: World

beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database)
})
afterAll(() => db.close())

describe('rights', () => {
  test('hide what is not visible and name the roles for what is', async () => {
    const rowId = newId()
    await world.ada.one({
      table: 'projects',
      op: 'insert',
      rowId,
      set: { name: 'Private', slug: 'private', visibility: 'private' },
    })
    expect(await world.query('select channel from projects where id = $1', [rowId])).toEqual([
      { channel: `project/${rowId}` },
    ])
    expect(
      await world.ben.one({ table: 'projects', op: 'patch', rowId, set: { name: 'x' }, base: { name: 'Private' } }),
    ).toMatchObject({ error: { code: 'not_found' } })
    expect(await world.ben.one(insertTask(world, { projectId: rowId }))).toMatchObject({
      error: { code: 'foreign_key_violated' },
    })
    expect(await world.ada.one(insertTask(world, { projectId: rowId }))).toMatchObject({ kind: 'applied' })
    const id = await newTask(world)
    expect(await world.eve.one(patchTask(id, { title: 'x' }, { title: 'A' }))).toMatchObject({
      error: { code: 'forbidden', message: expect.stringContaining('a member') },
    })
  })

  test('let participants write to a conversation and nobody else', async () => {
    const conversationId = newId()
    const participant = (userId: string) =>
      ({
        table: 'conversation_participants',
        op: 'insert',
        rowId: uuidFromKey('conversation_participants', [conversationId, userId, null]),
        set: { conversationId, userId },
      }) as const
    const message = (content: string) =>
      ({ table: 'messages', op: 'insert', rowId: newId(), set: { conversationId, role: 'user', content } }) as const
    expect(
      await world.ada.send(
        {
          table: 'conversations',
          op: 'insert',
          rowId: conversationId,
          set: { scope: 'user', userId: world.ada.principal.id },
        },
        participant(world.ben.principal.id),
        message('hello'),
      ),
    ).toMatchObject([{ kind: 'applied' }, { kind: 'applied' }, { kind: 'applied' }])
    const [bens, eves] = [message('hi'), message('me too')]
    expect(await world.ben.one(bens)).toMatchObject({ kind: 'applied' })
    expect((await world.eve.one(eves)).kind).toBe('rejected')
    expect(
      await world.ben.one({
        table: 'messages',
        op: 'patch',
        rowId: bens.rowId,
        set: { content: 'changed' },
        base: { content: 'hi' },
      }),
    ).toMatchObject({ error: { code: 'unknown_column' } })
  })
})

describe('a grant of knowledge', () => {
  const entryOf = async (canEdit: boolean): Promise<string> => {
    const entry = newId()
    await world.query(
      `insert into knowledge_entries (id, organization_id, scope, user_id, entry_type, title, content) values ($1, $2, 'user', $3, 'lesson', 'T', 'C')`,
      [entry, world.organizationId, world.ada.principal.id],
    )
    await world.query(
      'insert into knowledge_grants (organization_id, knowledge_entry_id, user_id, can_edit) values ($1, $2, $3, $4)',
      [world.organizationId, entry, world.ben.principal.id, canEdit],
    )
    return entry
  }
  const patch = (rowId: string, set: Readonly<Record<string, string>>, base: Readonly<Record<string, string | null>>) =>
    ({ table: 'knowledge_entries', op: 'patch', rowId, set, base }) as const

  test('with can_edit lets its holder change the entry, not delete it, move it or share it', async () => {
    const entry = await entryOf(true)
    const { id } = world.ben.principal
    expect(await world.ben.one(patch(entry, { title: 'U' }, { title: 'T' }))).toMatchObject({ kind: 'applied' })
    expect(await world.ben.one(patch(entry, { userId: id }, { userId: world.ada.principal.id }))).toMatchObject({
      error: { code: 'forbidden' },
    })
    expect(await world.ben.one({ table: 'knowledge_entries', op: 'delete', rowId: entry })).toMatchObject({
      error: { code: 'forbidden' },
    })
    expect(await world.eve.one(patch(entry, { title: 'V' }, { title: 'U' }))).toMatchObject({
      error: { code: 'not_found' },
    })
  })

  test('without can_edit lets its holder read', async () => {
    const entry = await entryOf(false)
    expect(await world.ben.one(patch(entry, { title: 'U' }, { title: 'T' }))).toMatchObject({
      error: { code: 'forbidden' },
    })
  })
})
