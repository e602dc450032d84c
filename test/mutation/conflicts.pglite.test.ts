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

async function makeConflict(
  rowId: string,
  mine: Record<string, string>,
  theirs: Record<string, string>,
  base: Record<string, string | null>,
) {
  expect(await world.ada.one(patchTask(rowId, theirs, base))).toMatchObject({ kind: 'applied' })
  const outcome = await world.ben.one(patchTask(rowId, mine, base))
  expect(outcome).toMatchObject({ kind: 'conflict', columns: Object.keys(mine) })
  return outcome
}

async function conflict(id: unknown): Promise<Record<string, unknown>> {
  const [row] = await world.query('select * from sync_conflicts where id = $1', [id])
  return row ?? {}
}

describe('a conflict', () => {
  test('keeps the losing value where the row lives, and applies the rest', async () => {
    const id = await newTask(world)
    await world.ada.one(patchTask(id, { title: 'theirs' }, { title: 'A' }))
    const mutation = world.ben.make(
      patchTask(id, { title: 'mine', priority: 'high' }, { title: 'A', priority: 'medium' }),
    )
    const [outcome] = await world.ben.push([mutation])
    expect(outcome).toMatchObject({ kind: 'conflict', columns: ['title'], version: 3 })
    expect(await readTask(world, id)).toMatchObject({ title: 'theirs', priority: 'high' })
    expect(await conflict(outcome?.conflictId)).toMatchObject({
      channel: `project/${world.projectId}`,
      kind: 'field',
      status: 'open',
      table_name: 'tasks',
      row_id: id,
      mutation_id: mutation.id,
      device_id: world.ben.principal.deviceId,
      user_id: world.ben.principal.id,
      agent_id: null,
      fields: { title: { base: 'A', mine: 'mine', theirs: 'theirs' } },
      client_patch: { title: 'mine' },
    })
    expect(await world.ben.push([mutation])).toEqual([outcome])
    expect(await world.query('select count(*)::int as n from sync_conflicts where row_id = $1', [id])).toEqual([
      { n: 1 },
    ])
  })

  test('takes in later writes that build upon its losing value', async () => {
    const id = await newTask(world)
    const { conflictId } = await makeConflict(id, { title: 'mine' }, { title: 'theirs' }, { title: 'A' })
    const later = await world.ben.one(
      patchTask(id, { title: 'mine 2', priority: 'low' }, { title: 'mine', priority: 'medium' }),
    )
    expect(later).toMatchObject({ kind: 'conflict', conflictId, columns: ['title'] })
    expect(await conflict(conflictId)).toMatchObject({
      fields: { title: { base: 'A', mine: 'mine 2', theirs: 'theirs' } },
      client_patch: { title: 'mine 2' },
    })
    expect(await readTask(world, id)).toMatchObject({ title: 'theirs', priority: 'low' })
    expect(await world.query('select count(*)::int as n from sync_conflicts where row_id = $1', [id])).toEqual([
      { n: 1 },
    ])
  })

  test('takes in other columns of the same device, and never replaces a losing value', async () => {
    const id = await newTask(world)
    const { conflictId } = await makeConflict(
      id,
      { title: 'mine' },
      { title: 'theirs', priority: 'high' },
      { title: 'A', priority: 'medium' },
    )
    expect(await world.ben.one(patchTask(id, { priority: 'low' }, { priority: 'medium' }))).toMatchObject({
      kind: 'conflict',
      conflictId,
      columns: ['priority'],
    })
    expect(await conflict(conflictId)).toMatchObject({ client_patch: { title: 'mine', priority: 'low' } })
    const again = await world.ben.one(patchTask(id, { title: 'mine too' }, { title: 'A' }))
    expect(again.conflictId).not.toBe(conflictId)
    const tablet = await world.device('user', world.ben.principal.id)
    const other = await tablet.one(patchTask(id, { title: 'from the tablet' }, { title: 'A' }))
    expect(
      await world.query('select client_patch from sync_conflicts where row_id = $1 order by created_at', [id]),
    ).toEqual([
      { client_patch: { title: 'mine', priority: 'low' } },
      { client_patch: { title: 'mine too' } },
      { client_patch: { title: 'from the tablet' } },
    ])
    expect(await conflict(other.conflictId)).toMatchObject({ device_id: tablet.principal.deviceId })
  })

  test('is settled for the client, the server, or by a patch', async () => {
    for (const [set, title, resolution] of [
      [{ take: 'client' }, 'mine', 'client'],
      [{ take: 'server' }, 'theirs', 'server'],
      [{ take: 'manual', patch: { title: 'both' } }, 'both', 'manual'],
    ] as const) {
      const id = await newTask(world)
      const { conflictId = '' } = await makeConflict(id, { title: 'mine' }, { title: 'theirs' }, { title: 'A' })
      const resolve = { table: 'sync_conflicts', op: 'resolve', rowId: conflictId, set } as const
      expect(await world.ada.one(resolve)).toMatchObject({ kind: 'applied' })
      expect(await readTask(world, id)).toMatchObject({ title })
      expect(await conflict(conflictId)).toMatchObject({
        status: 'resolved',
        resolution,
        resolved_by_user_id: world.ada.principal.id,
      })
      const again = await world.ben.one(resolve)
      if (resolution === 'manual') expect(again).toMatchObject({ error: { code: 'conflict_already_resolved' } })
      else expect(again).toMatchObject({ kind: 'noop' })
      expect(
        await world.ben.one({ ...resolve, set: { take: resolution === 'client' ? 'server' : 'client' } }),
      ).toMatchObject({ error: { code: 'conflict_already_resolved' } })
    }
  })

  test('is settled only by who may write the row', async () => {
    const id = await newTask(world)
    const { conflictId = '' } = await makeConflict(id, { title: 'mine' }, { title: 'theirs' }, { title: 'A' })
    const resolve = { table: 'sync_conflicts', op: 'resolve', rowId: conflictId, set: { take: 'client' } } as const
    expect(await world.eve.one(resolve)).toMatchObject({ error: { code: 'forbidden' } })
    expect(await world.scout.one(resolve)).toMatchObject({ kind: 'applied' })
    expect(await conflict(conflictId)).toMatchObject({ resolved_by_agent_id: world.scout.principal.id })
  })

  test('of two status moves from one base is a transition conflict', async () => {
    const id = await newTask(world)
    const { conflictId } = await makeConflict(
      id,
      { status: 'cancelled' },
      { status: 'completed' },
      { status: 'pending' },
    )
    expect(await conflict(conflictId)).toMatchObject({ kind: 'transition' })
    expect(
      await world.ada.one({ table: 'sync_conflicts', op: 'resolve', rowId: conflictId ?? '', set: { take: 'client' } }),
    ).toMatchObject({ error: { code: 'transition_refused' } })
  })
})

describe('settling', () => {
  test('refers to nothing that its writer may not refer to, by a side of its own or by a patch', async () => {
    const [organization, foreign] = [newId(), newId()]
    await world.query(`insert into organizations (id, name, slug) values ($1, 'Other', $2)`, [
      organization,
      `o-${organization}`,
    ])
    await world.query(
      `insert into agents (id, organization_id, name, agent_type) values ($1, $2, 'spy', 'researcher')`,
      [foreign, organization],
    )
    const refusal = { kind: 'rejected', error: { code: 'foreign_key_violated' } }
    const settle = (rowId: unknown, set: object) =>
      world.ben.one({ table: 'sync_conflicts', op: 'resolve', rowId: String(rowId), set: { ...set } })
    const id = await newTask(world)
    const scout = world.scout.principal.id
    const { conflictId } = await makeConflict(
      id,
      { assignedAgentId: foreign },
      { assignedAgentId: scout },
      { assignedAgentId: null },
    )
    expect(await settle(conflictId, { take: 'client' })).toMatchObject(refusal)
    expect(await settle(conflictId, { take: 'manual', patch: { assignedAgentId: foreign } })).toMatchObject(refusal)
    expect(await settle(conflictId, { take: 'manual', patch: { assignedAgentId: scout } })).toMatchObject({
      kind: 'applied',
    })
  })
})

describe('deleting', () => {
  const remove = (rowId: string, base?: Record<string, string>) =>
    ({ table: 'tasks', op: 'delete', rowId, ...(base ? { base } : {}) }) as const
  const restore = (rowId: string) => ({ table: 'tasks', op: 'restore', rowId }) as const
  const isLive = async (id: string) => (await readTask(world, id))['deleted_at'] === null

  test('takes children along and brings back exactly those', async () => {
    const parent = await newTask(world)
    const child = await newTask(world, { parentTaskId: parent })
    const grandchild = await newTask(world, { parentTaskId: child })
    const apart = await newTask(world, { parentTaskId: parent })
    expect(await world.ada.send(remove(apart), remove(parent))).toMatchObject([
      { kind: 'applied' },
      { kind: 'applied', version: 2 },
    ])
    expect(await Promise.all([parent, child, grandchild, apart].map(isLive))).toEqual([false, false, false, false])
    expect(await world.ada.one(remove(parent))).toMatchObject({ kind: 'noop' })
    expect(await world.ada.one(restore(child))).toMatchObject({ error: { code: 'foreign_key_violated' } })
    expect(await world.ada.one(insertTask(world, { parentTaskId: parent }))).toMatchObject({
      error: { code: 'foreign_key_violated' },
    })
    expect(await world.ada.one(restore(parent))).toMatchObject({ kind: 'applied', version: 3 })
    expect(await Promise.all([parent, child, grandchild, apart].map(isLive))).toEqual([true, true, true, false])
    expect(await world.ada.one(restore(parent))).toMatchObject({ kind: 'noop' })
  })

  test('takes children along, and brings them back, also in one push with writes of other rows', async () => {
    const [parent, other] = [await newTask(world), await newTask(world)]
    const child = await newTask(world, { parentTaskId: parent })
    const late = insertTask(world, { parentTaskId: parent })
    expect(
      await world.ada.send(late, patchTask(other, { title: 'B' }, { title: 'A' }), {
        table: 'tasks',
        op: 'delete',
        rowId: parent,
      }),
    ).toMatchObject([{ kind: 'applied' }, { kind: 'applied' }, { kind: 'applied' }])
    const deleted = async () =>
      (await Promise.all([parent, child, late.rowId, other].map((id) => readTask(world, id)))).map(
        (task) => task['deleted_at'] !== null,
      )
    expect(await deleted()).toEqual([true, true, true, false])
    await world.ada.send(
      patchTask(other, { title: 'C' }, { title: 'B' }),
      { table: 'tasks', op: 'restore', rowId: parent },
      { table: 'tasks', op: 'delete', rowId: parent },
      { table: 'tasks', op: 'restore', rowId: parent },
    )
    expect(await deleted()).toEqual([false, false, false, false])
  })

  test('keeps a child whose other parent was deleted apart', async () => {
    const parent = await newTask(world)
    const planId = newId()
    await world.ada.one({
      table: 'plans',
      op: 'insert',
      rowId: planId,
      set: { projectId: world.projectId, title: 'P' },
    })
    const child = await newTask(world, { parentTaskId: parent, planId })
    await world.ada.send(remove(parent), { table: 'plans', op: 'delete', rowId: planId }, restore(parent))
    expect(await isLive(child)).toBe(false)
    await world.ada.one({ table: 'plans', op: 'restore', rowId: planId })
    expect(await isLive(parent)).toBe(true)
  })

  test('of a row that was changed meanwhile is a conflict, and the row stays', async () => {
    const id = await newTask(world)
    await world.ada.one(patchTask(id, { title: 'B' }, { title: 'A' }))
    const outcome = await world.ben.one(remove(id, { title: 'A', priority: 'medium' }))
    expect(outcome).toMatchObject({ kind: 'conflict', columns: ['title'] })
    expect(await conflict(outcome.conflictId)).toMatchObject({
      kind: 'update_delete',
      fields: { title: { base: 'A', mine: null, theirs: 'B' } },
    })
    expect(await isLive(id)).toBe(true)
    const child = await newTask(world, { parentTaskId: id })
    expect(
      await world.ben.one({
        table: 'sync_conflicts',
        op: 'resolve',
        rowId: outcome.conflictId ?? '',
        set: { take: 'client' },
      }),
    ).toMatchObject({ kind: 'applied' })
    expect(await Promise.all([id, child].map(isLive))).toEqual([false, false])
  })

  test('meets a later patch as a conflict, which the client may win', async () => {
    const id = await newTask(world)
    const child = await newTask(world, { parentTaskId: id })
    await world.ada.one(remove(id))
    const outcome = await world.ben.one(patchTask(id, { title: 'B' }, { title: 'A' }))
    expect(outcome).toMatchObject({ kind: 'conflict', columns: ['title'] })
    expect(await conflict(outcome.conflictId)).toMatchObject({ kind: 'delete_update' })
    expect(await isLive(id)).toBe(false)
    const later = await world.ben.one(
      patchTask(id, { title: 'C', priority: 'high' }, { title: 'B', priority: 'medium' }),
    )
    expect(later).toMatchObject({ kind: 'conflict', conflictId: outcome.conflictId })
    expect(
      await world.ben.one({
        table: 'sync_conflicts',
        op: 'resolve',
        rowId: outcome.conflictId ?? '',
        set: { take: 'client' },
      }),
    ).toMatchObject({ kind: 'applied' })
    expect(await readTask(world, id)).toMatchObject({ title: 'C', priority: 'high', deleted_at: null })
    expect(await isLive(child)).toBe(true)
  })

  test('refuses increments of a deleted row', async () => {
    const rowId = newId()
    await world.ada.one({ table: 'memories', op: 'insert', rowId, set: { scope: 'organization', content: 'C' } })
    await world.ada.one({ table: 'memories', op: 'delete', rowId })
    expect(await world.ada.one({ table: 'memories', op: 'increment', rowId, inc: { accessCount: 1 } })).toMatchObject({
      error: { code: 'row_deleted' },
    })
  })
})
