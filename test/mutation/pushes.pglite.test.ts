import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { insertTask, newTask, patchTask, readTask } from './tasks.ts'
import { createWorld, newId, type World } from './world.ts'

const team = { table: 'teams', op: 'insert', set: { name: 'x', slug: 'x' } } as const

let db: TestDatabase
let world: World
let commits = 0

beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database, () => commits++)
})
afterAll(() => db.close())
beforeEach(() => {
  commits = 0
})

describe('a push', () => {
  test('applies, stores the outcome, stamps author and origin, and logs a mark', async () => {
    const mutation = world.ada.make(insertTask(world))
    const [outcome] = await world.ada.push([mutation])
    expect(outcome).toEqual({ mutationId: mutation.id, clientSeq: mutation.clientSeq, kind: 'applied', version: 1 })
    expect(await readTask(world, mutation.rowId)).toMatchObject({
      title: 'A',
      status: 'pending',
      version: 1,
      organization_id: world.organizationId,
      channel: `project/${world.projectId}`,
      created_by_user_id: world.ada.principal.id,
      created_by_agent_id: null,
      origin_device_id: world.ada.principal.deviceId,
    })
    const [entry] = await world.query(
      'select status, op, table_name, result_version, error_code from sync_mutations where id = $1',
      [mutation.id],
    )
    expect(entry).toEqual({ status: 'applied', op: 'insert', table_name: 'tasks', result_version: 1, error_code: null })
    const marks = await world.query(
      `select origin_device_id from sync_changes where op = 'mark' and mutation_id = $1`,
      [mutation.id],
    )
    expect(marks).toEqual([{ origin_device_id: world.ada.principal.deviceId }])
    expect(commits).toBe(1)
  })

  test('answers a repeat with the stored outcome and changes nothing again', async () => {
    const id = await newTask(world)
    const memory = {
      table: 'memories',
      op: 'insert',
      rowId: newId(),
      set: { scope: 'project', projectId: world.projectId, content: 'C' },
    } as const
    await world.ada.one(memory)
    const mutations = [
      world.ada.make({ table: 'memories', op: 'increment', rowId: memory.rowId, inc: { reinforcementCount: 2 } }),
      world.ada.make(patchTask(id, { title: 'B' }, { title: 'A' })),
    ]
    const first = await world.ada.push(mutations)
    expect(await world.ada.push(mutations)).toEqual(first)
    expect(await world.ada.push(mutations.slice(1))).toEqual(first.slice(1))
    expect(await world.query('select reinforcement_count from memories where id = $1', [memory.rowId])).toEqual([
      { reinforcement_count: 2 },
    ])
  })

  test('marks a repeat again, for a device that began anew and missed the first mark', async () => {
    const mutation = world.ada.make(insertTask(world))
    const marks = async () =>
      (await world.query(`select seq from sync_changes where op = 'mark' and mutation_id = $1`, [mutation.id])).length
    await world.ada.push([mutation])
    expect(await marks()).toBe(1)
    await world.ada.push([mutation])
    expect(await marks()).toBe(2)
  })

  test('applies the new part of a push of which a part is known', async () => {
    const known = world.ada.make(insertTask(world))
    const [outcome] = await world.ada.push([known])
    const fresh = world.ada.make(patchTask(known.rowId, { title: 'B' }, { title: 'A' }))
    expect(await world.ada.push([known, fresh])).toEqual([
      outcome,
      expect.objectContaining({ kind: 'applied', version: 2 }),
    ])
  })

  test('goes on from a counter under which something known came again', async () => {
    const device = await world.device('user', world.ada.principal.id)
    const [first, second] = [device.make(insertTask(world)), device.make(insertTask(world))]
    const outcomes = await device.push([first, second])
    expect(await device.push([{ ...first, clientSeq: 3 }])).toEqual([outcomes[0]])
    expect(await device.push([{ ...second, clientSeq: 4 }])).toEqual([outcomes[1]])
    const third = { ...device.make(insertTask(world)), clientSeq: 5 }
    expect(await device.push([third])).toMatchObject([{ kind: 'applied' }])
    const ledger = await world.query(
      'select client_seq::integer as seq from sync_mutations where device_id = $1 order by 1',
      [device.principal.deviceId],
    )
    expect(ledger).toEqual([{ seq: 3 }, { seq: 4 }, { seq: 5 }])
    expect(await readTask(world, first.rowId)).toMatchObject({ version: 1 })
  })

  test('applies concurrent repeats once', async () => {
    const mutation = world.ada.make(insertTask(world))
    const [one, other] = await Promise.all([world.ada.push([mutation]), world.ada.push([mutation])])
    expect(one).toEqual(other)
  })

  test('refuses a gap and a counter that another mutation has used', async () => {
    const device = await world.device('user', world.ada.principal.id)
    const lost = device.make(insertTask(world))
    const next = device.make(insertTask(world))
    await expect(device.push([next])).rejects.toMatchObject({
      code: 'mutation_out_of_order',
      message: expect.stringContaining('1 is the next'),
    })
    await device.push([lost, next])
    await expect(device.push([{ ...lost, id: newId() }])).rejects.toMatchObject({ code: 'device_cloned' })
    expect(await readTask(world, lost.rowId)).toMatchObject({ version: 1 })
  })

  test('refuses a repeat from before the retention instead of applying it again', async () => {
    const device = await world.device('user', world.ada.principal.id)
    const old = device.make(insertTask(world))
    await device.push([old, device.make(insertTask(world))])
    await world.query('delete from sync_mutations where id = $1', [old.id])
    await world.query('delete from tasks where id = $1', [old.rowId])
    expect(await device.push([old])).toMatchObject([{ kind: 'rejected', error: { code: 'outcome_forgotten' } }])
    expect(await readTask(world, old.rowId)).toEqual({})
  })

  test('does not apply what another device has sent under the same id', async () => {
    const copy = await world.device('user', world.ada.principal.id)
    const mutation = world.ada.make(insertTask(world))
    await world.ada.push([mutation])
    const copied = { ...mutation, clientSeq: copy.make(insertTask(world)).clientSeq }
    const outcomes = await copy.push([copied])
    expect(outcomes).toMatchObject([{ kind: 'rejected', error: { code: 'device_cloned' } }])
    expect(await copy.push([copied])).toEqual(outcomes)
    expect(await copy.one(insertTask(world))).toMatchObject({ kind: 'applied' })
  })

  test('refuses devices that are revoked or somebody else', async () => {
    const device = await world.device('user', world.ben.principal.id)
    const stolen = { ...device.principal, id: world.ada.principal.id }
    await expect(world.mutations.push(stolen, [device.make(insertTask(world))])).rejects.toMatchObject({
      code: 'device_principal_mismatch',
    })
    await world.query('update devices set revoked_at = now() where id = $1', [device.principal.deviceId])
    await expect(device.one(insertTask(world))).rejects.toMatchObject({ code: 'device_revoked' })
  })

  test('runs mutations in order where they build upon each other', async () => {
    const projectId = newId()
    const rowId = newId()
    const outcomes = await world.ben.send(
      { table: 'projects', op: 'insert', rowId: projectId, set: { name: 'New', slug: 'new' } },
      { table: 'tasks', op: 'insert', rowId, set: { projectId, title: 'A' } },
      { table: 'tasks', op: 'insert', set: { projectId, title: 'child', parentTaskId: rowId } },
      patchTask(rowId, { title: 'B' }, { title: 'A' }),
      patchTask(rowId, { title: 'C' }, { title: 'B' }),
    )
    expect(outcomes.map(({ kind }) => kind)).toEqual(['applied', 'applied', 'applied', 'applied', 'applied'])
    expect(outcomes.at(-1)?.version).toBe(3)
    expect(await readTask(world, rowId)).toMatchObject({ title: 'C' })
  })

  test('lets one refused write fall and applies the others', async () => {
    const [good, clash, other] = [newId(), newId(), newId()]
    const team = (rowId: string, name: string) =>
      ({ table: 'agents', op: 'insert', rowId, set: { name, agentType: 'generic' } }) as const
    const outcomes = await world.ada.send(team(good, 'one'), team(clash, 'one'), team(other, 'two'))
    expect(outcomes).toMatchObject([
      { kind: 'applied' },
      { kind: 'rejected', error: { code: 'unique_violated', message: expect.stringMatching(/name = .*one/) } },
      { kind: 'applied' },
    ])
  })

  test('gives a taken slug a suffix', async () => {
    const insert = (rowId: string) =>
      ({ table: 'teams', op: 'insert', rowId, set: { name: 'T', slug: 'same' } }) as const
    const [first, second] = [newId(), newId()]
    expect(await world.ada.one(insert(first))).toMatchObject({ kind: 'applied' })
    expect(await world.ada.one(insert(second))).toMatchObject({ kind: 'merged', columns: ['slug'] })
    expect(await world.query('select slug from teams where id = any($1) order by slug', [[first, second]])).toEqual([
      { slug: 'same' },
      { slug: 'same-2' },
    ])
  })

  test('merges what does not overlap, and makes one row of one tag', async () => {
    const id = await newTask(world, { description: 'one\ntwo\nthree', tags: ['a'], metadata: { x: 1 } })
    await world.ada.one({
      table: 'tasks',
      op: 'patch',
      rowId: id,
      set: { description: 'ONE\ntwo\nthree', tags: ['a', 'b'], metadata: { x: 1, y: 2 } },
      base: { description: 'one\ntwo\nthree', tags: ['a'], metadata: { x: 1 } },
    })
    const outcome = await world.ben.one({
      table: 'tasks',
      op: 'patch',
      rowId: id,
      set: { description: 'one\ntwo\nTHREE', tags: ['c'], metadata: { x: 1, z: 3 } },
      base: { description: 'one\ntwo\nthree', tags: ['a'], metadata: { x: 1 } },
    })
    expect(outcome).toMatchObject({ kind: 'merged', version: 3 })
    expect(await readTask(world, id)).toMatchObject({
      description: 'ONE\ntwo\nTHREE',
      tags: ['b', 'c'],
      metadata: { x: 1, y: 2, z: 3 },
    })

    const memoryId = newId()
    await world.ada.one({
      table: 'memories',
      op: 'insert',
      rowId: memoryId,
      set: { scope: 'project', projectId: world.projectId, content: 'C' },
    })
    const tag = {
      table: 'memory_tags',
      op: 'insert',
      rowId: uuidFromKey('memory_tags', [memoryId, 'red']),
      set: { memoryId, tag: 'red' },
    } as const
    expect(await world.ada.one(tag)).toMatchObject({ kind: 'applied' })
    expect(await world.ben.one(tag)).toMatchObject({ kind: 'noop' })
    expect(await world.ben.one({ ...tag, op: 'delete', set: {} })).toMatchObject({ kind: 'applied' })
    expect(await world.ada.one(tag)).toMatchObject({ kind: 'merged' })
    expect(await world.query('select deleted_at from memory_tags where memory_id = $1', [memoryId])).toEqual([
      { deleted_at: null },
    ])
  })

  test('takes an embedding with its memory', async () => {
    const rowId = newId()
    const vector = Float32Array.from({ length: 384 }, (_, index) => index / 384)
    const embedding = Buffer.from(vector.buffer).toString('base64')
    const insert = world.scout.make({
      table: 'memories',
      op: 'insert',
      rowId,
      set: { scope: 'agent', agentId: world.scout.principal.id, content: 'mine', embedding, embeddingModel: 'm' },
    })
    expect(await world.scout.push([insert])).toMatchObject([{ kind: 'applied' }])
    expect(
      await world.query(
        'select vector_dims(embedding) as dims, created_by_agent_id as author from memories where id = $1',
        [rowId],
      ),
    ).toEqual([{ dims: 384, author: world.scout.principal.id }])
    expect(
      await world.ben.one({ table: 'memories', op: 'patch', rowId, set: { summary: 's' }, base: { summary: null } }),
    ).toMatchObject({ error: { code: 'not_found' } })
  })

  test.each([
    ['an unknown table', { table: 'nothing', op: 'insert' }, 'unknown_table'],
    ['a secret table', { table: 'user_credentials', op: 'insert' }, 'unknown_table'],
    ['a table that only the server writes', { table: 'project_closures', op: 'insert' }, 'forbidden'],
    ['a conflict by hand', { table: 'sync_conflicts', op: 'patch', set: { note: 'x' } }, 'forbidden'],
    ['a column that is none', { table: 'tasks', op: 'insert', set: { nothing: 1 } }, 'unknown_column'],
    ['an insert without a required column', { table: 'tasks', op: 'insert', set: { title: 'x' } }, 'invalid_value'],
    ['a status that is none', { table: 'teams', op: 'insert', set: { name: '', slug: 'x' } }, 'invalid_value'],
    [
      'a slug of a form that only SQL knows',
      { table: 'teams', op: 'insert', set: { name: 'x', slug: 'NO WAY' } },
      'constraint_violated',
    ],
    [
      'a reference to nothing',
      { table: 'tasks', op: 'insert', set: { title: 'x', projectId: '01a2010e-0c45-77c9-82b7-38d9bd3b37cc' } },
      'foreign_key_violated',
    ],
    ['a patch of nothing', { table: 'tasks', op: 'patch', set: { title: 'x' }, base: { title: 'y' } }, 'not_found'],
    [
      'a row of the future',
      { table: 'teams', op: 'insert', rowId: 'ffffffff-ffff-7fff-bfff-ffffffffffff', set: { name: 'x', slug: 'x' } },
      'invalid_value',
    ],
    ['a date of the day after tomorrow', { ...team, at: Date.now() + 48 * 3_600_000 }, 'invalid_value'],
    ['a date that no calendar has', { ...team, at: 1e300 }, 'invalid_value'],
    ['a write whose id is of the future', { ...team, id: 'ffffffff-ffff-7fff-bfff-ffffffffffff' }, 'invalid_value'],
    [
      'a tag whose id does not follow from it',
      { table: 'memory_tags', op: 'insert', set: { memoryId: '01a2010e-0c45-77c9-82b7-38d9bd3b37cc', tag: 'x' } },
      'invalid_value',
    ],
    ['the end of an organization', { table: 'organizations', op: 'delete' }, 'forbidden'],
    [
      'too much',
      { table: 'tasks', op: 'insert', set: { title: 'x', metadata: { text: 'x'.repeat(1_000_001) } } },
      'invalid_value',
    ],
    ['a settlement of nothing', { table: 'sync_conflicts', op: 'resolve', set: { take: 'server' } }, 'not_found'],
  ] as const)('refuses %s with a code', async (_, fields, code) => {
    const mutation = world.ada.make(fields)
    const [outcome] = await world.ada.push([mutation])
    expect(outcome).toMatchObject({ kind: 'rejected', error: { code } })
    expect(await world.query('select status, error_code from sync_mutations where id = $1', [mutation.id])).toEqual([
      { status: 'rejected', error_code: code },
    ])
  })

  test.each([-1e300, 0, Date.now() + 23 * 3_600_000])('takes a write of a clock that says %s', async (at) => {
    const mutation = world.ada.make({ ...insertTask(world), at })
    expect(await world.ada.push([mutation])).toMatchObject([{ kind: 'applied' }])
    const [task] = await world.query<{ right: boolean }>(
      `select created_at between now() - interval '1 hour' and now() as right from tasks where id = $1`,
      [mutation.rowId],
    )
    expect(task).toEqual({ right: true })
  })

  test('takes what agents upload, once, and no times of the future', async () => {
    const rowId = newId()
    const event = {
      table: 'agent_events',
      op: 'insert',
      rowId,
      set: { agentId: world.scout.principal.id, eventType: 'agent.started', occurredAt: '2200-01-01T00:00:00.000Z' },
    } as const
    expect(await world.scout.one(event)).toEqual({
      mutationId: expect.anything(),
      clientSeq: expect.anything(),
      kind: 'applied',
    })
    expect(
      await world.query(
        'select occurred_at <= now() as past, origin_device_id as device from agent_events where id = $1',
        [rowId],
      ),
    ).toEqual([{ past: true, device: world.scout.principal.deviceId }])
    expect(
      await world.scout.one({
        ...event,
        op: 'patch',
        set: { eventType: 'agent.stopped' },
        base: { eventType: 'agent.started' },
      }),
    ).toMatchObject({ kind: 'rejected' })
    expect(await world.ada.one({ ...event, rowId: newId() })).toMatchObject({ error: { code: 'forbidden' } })
  })

  test('gives no final answer to whoever is suspended just now', async () => {
    const user = await world.device('user', world.ben.principal.id)
    const mutation = user.make(insertTask(world))
    const setStatus = (status: string) =>
      world.query('update organization_members set status = $1 where user_id = $2', [status, world.ben.principal.id])
    await setStatus('suspended')
    await expect(user.push([mutation])).rejects.toMatchObject({ code: 'token_invalid' })
    await setStatus('active')
    expect(await user.push([mutation])).toMatchObject([{ kind: 'applied' }])
  })

  test('reports what only the server sets', async () => {
    const outcome = await world.ada.one(
      insertTask(world, { version: 9, attemptCount: 4, createdAt: '2020-01-01T00:00:00.000Z' }),
    )
    expect(outcome).toMatchObject({ kind: 'applied', version: 1, columns: ['version', 'attemptCount', 'createdAt'] })
  })
})
