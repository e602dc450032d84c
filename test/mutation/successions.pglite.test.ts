// A memory that supersedes another is a write to that one too.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, newId, type TestDevice, type World } from './world.ts'

let db: TestDatabase
let world: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database)
})
afterAll(() => db.close())

type Scope = { readonly scope: string; readonly userId?: string }
const shared: Scope = { scope: 'organization' }
const ownOf = ({ principal }: TestDevice): Scope => ({ scope: 'user', userId: principal.id })

const memory = (set: Readonly<Record<string, string>> & Scope, rowId = newId()) => {
  const named = { content: `Memory ${rowId}`, ...set }
  return { table: 'memories', op: 'insert', rowId, set: named } as const
}

async function remember(device: TestDevice, set: Readonly<Record<string, string>> & Scope): Promise<string> {
  const insert = memory(set)
  expect(await device.one(insert)).toMatchObject({ kind: 'applied' })
  return insert.rowId
}

async function read(id: string) {
  const [row] = await world.query('select status, superseded_by_id from memories where id = $1', [id])
  return row
}

const conflictsOf = (id: string) =>
  world.query('select id, kind, status, fields, device_id, channel from sync_conflicts where row_id = $1', [id])

describe('superseding a memory', () => {
  test('needs the right to write it', async () => {
    const old = await remember(world.ada, shared)
    const mine = memory({ ...ownOf(world.eve), supersedesId: old })
    expect(await world.eve.one(mine)).toMatchObject({ kind: 'rejected', error: { code: 'forbidden' } })
    const later = await remember(world.eve, ownOf(world.eve))
    const patch = {
      table: 'memories',
      op: 'patch',
      rowId: later,
      set: { supersedesId: old },
      base: { supersedesId: null },
    } as const
    expect(await world.eve.one(patch)).toMatchObject({ kind: 'rejected', error: { code: 'forbidden' } })
    expect(await read(old)).toEqual({ status: 'active', superseded_by_id: null })
    expect(await world.query('select id from memories where id = $1', [mine.rowId])).toEqual([])
    const next = await remember(world.ben, { ...shared, supersedesId: old })
    expect(await read(old)).toEqual({ status: 'superseded', superseded_by_id: next })
  })

  test('of an own one needs no more, and is logged with its actor', async () => {
    const old = await remember(world.eve, ownOf(world.eve))
    const next = await remember(world.eve, { ...ownOf(world.eve), supersedesId: old })
    expect(await read(old)).toEqual({ status: 'superseded', superseded_by_id: next })
    expect(
      await world.query('select action, actor_user_id from memory_logs where memory_id = $1 order by created_at, id', [
        old,
      ]),
    ).toEqual(['created', 'superseded'].map((action) => ({ action, actor_user_id: world.eve.principal.id })))
  })

  test('a second time is a conflict of the older one, which keeps its first successor', async () => {
    const old = await remember(world.ada, shared)
    const first = await remember(world.ada, { ...shared, supersedesId: old })
    const second = await remember(world.ben, { ...shared, supersedesId: old })
    expect(await read(old)).toEqual({ status: 'superseded', superseded_by_id: first })
    expect(await read(second)).toEqual({ status: 'active', superseded_by_id: null })
    expect(await conflictsOf(old)).toMatchObject([
      {
        kind: 'field',
        status: 'open',
        fields: { supersededById: { base: null, mine: second, theirs: first } },
        device_id: world.ben.principal.deviceId,
        channel: `organization/${world.organizationId}`,
      },
    ])
  })

  test.each([
    ['client', 1],
    ['server', 0],
  ] as const)('is settled as %s', async (take, winner) => {
    const old = await remember(world.ada, shared)
    const both = [memory({ ...shared, supersedesId: old }), memory({ ...shared, supersedesId: old })]
    // In one push too.
    expect(await world.ben.send(...both)).toMatchObject([{ kind: 'applied' }, { kind: 'applied' }])
    const [conflict] = await conflictsOf(old)
    const resolve = { table: 'sync_conflicts', op: 'resolve', rowId: String(conflict?.['id']), set: { take } } as const
    expect(await world.eve.one(resolve)).toMatchObject({ kind: 'rejected', error: { code: 'forbidden' } })
    expect(await world.ada.one(resolve)).toMatchObject({ kind: 'applied' })
    expect(await read(old)).toEqual({ status: 'superseded', superseded_by_id: both[winner]?.rowId })
    expect(await conflictsOf(old)).toMatchObject([{ status: 'resolved' }])
  })

  test('is free again when the successor is deleted', async () => {
    const old = await remember(world.ada, shared)
    const first = await remember(world.ada, { ...shared, supersedesId: old })
    await world.ada.one({ table: 'memories', op: 'delete', rowId: first })
    const second = await remember(world.ben, { ...shared, supersedesId: old })
    expect(await read(old)).toEqual({ status: 'superseded', superseded_by_id: second })
    expect(await conflictsOf(old)).toEqual([])
  })
})

test('a knowledge entry cannot name the former content of another and take it along', async () => {
  const entry = (rowId: string, more: object = {}) => ({
    table: 'knowledge_entries',
    op: 'insert' as const,
    rowId,
    set: { scope: 'organization', entryType: 'lesson', title: 'T', content: 'one', ...more },
  })
  const theirs = newId()
  await world.ada.one(entry(theirs))
  await world.ada.one({ ...entry(theirs), op: 'patch', set: { content: 'two' }, base: { content: 'one' } })
  const frozenOf = (id: string) =>
    world.query<{ frozen: string }>('select previous_version_id as frozen from knowledge_entries where id = $1', [id])
  const [{ frozen } = { frozen: '' }] = await frozenOf(theirs)
  const mine = newId()
  const own = { ...ownOf(world.eve), scope: 'organization', previousVersionId: frozen }
  expect(await world.ben.one(entry(mine, own))).toMatchObject({ columns: ['previousVersionId'] })
  expect(await frozenOf(mine)).toEqual([{ frozen: null }])
  await world.query('update knowledge_entries set previous_version_id = $2 where id = $1', [mine, frozen])
  await world.ben.one({ table: 'knowledge_entries', op: 'delete', rowId: mine })
  expect(await world.query('select deleted_at from knowledge_entries where id = $1', [frozen])).toEqual([
    { deleted_at: null },
  ])
})
