import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, newId, type TestDevice, type World } from './world.ts'

let db: TestDatabase
let world: World

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  world = await createWorld(db.database)
})
afterAll(() => db.close())

const devices = (count: number): Promise<TestDevice[]> =>
  Promise.all(Array.from({ length: count }, () => world.device('user', world.ada.principal.id)))

async function newMemory(): Promise<string> {
  const rowId = newId()
  await world.ada.one({ table: 'memories', op: 'insert', rowId, set: { scope: 'organization', content: 'C' } })
  return rowId
}

describe('pushes at the same time', () => {
  test('sum increments exactly', async () => {
    const rowId = await newMemory()
    const all = await devices(8)
    const outcomes = await Promise.all(
      all.map((device) =>
        device.send(
          ...Array.from(
            { length: 5 },
            () => ({ table: 'memories', op: 'increment', rowId, inc: { reinforcementCount: 1 } }) as const,
          ),
        ),
      ),
    )
    expect(new Set(outcomes.flat().map(({ kind }) => kind))).toEqual(new Set(['applied']))
    expect(await world.query('select reinforcement_count as n from memories where id = $1', [rowId])).toEqual([
      { n: 40 },
    ])
  })

  test('make one row of one tag', async () => {
    const memoryId = await newMemory()
    const all = await devices(8)
    const tag = {
      table: 'memory_tags',
      op: 'insert',
      rowId: uuidFromKey('memory_tags', [memoryId, 'red']),
      set: { memoryId, tag: 'red' },
    } as const
    const outcomes = (await Promise.all(all.map((device) => device.one(tag)))).map(({ kind }) => kind)
    expect(outcomes.toSorted()).toEqual(['applied', ...Array.from({ length: 7 }, () => 'noop')])
  })

  test('open one conflict each for all but the first', async () => {
    const rowId = await newMemory()
    const all = await devices(6)
    const outcomes = await Promise.all(
      all.map((device, index) =>
        device.one({ table: 'memories', op: 'patch', rowId, set: { title: `t${index}` }, base: { title: null } }),
      ),
    )
    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual([
      'applied',
      ...Array.from({ length: 5 }, () => 'conflict'),
    ])
    const [{ n } = { n: 0 }] = await world.query<{ n: number }>(
      'select count(*)::int as n from sync_conflicts where row_id = $1',
      [rowId],
    )
    expect(n).toBe(5)
  })

  test('of one mutation apply it once and answer the same', async () => {
    const device = await world.device('user', world.ada.principal.id)
    const rowId = await newMemory()
    const mutation = device.make({ table: 'memories', op: 'increment', rowId, inc: { reinforcementCount: 1 } })
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => device.push([mutation])))
    for (const outcome of outcomes)
      expect(outcome).toEqual([expect.objectContaining({ mutationId: mutation.id, kind: 'applied', version: 2 })])
    expect(await world.query('select reinforcement_count as n from memories where id = $1', [rowId])).toEqual([
      { n: 1 },
    ])
  })

  test('that lock rows against each other all end', async () => {
    const rows = [await newMemory(), await newMemory(), await newMemory(), await newMemory()]
    const all = await devices(6)
    const outcomes = await Promise.all(
      all.map((device, index) =>
        device.send(
          ...(index % 2 === 0 ? rows : rows.toReversed()).map(
            (rowId) => ({ table: 'memories', op: 'increment', rowId, inc: { reinforcementCount: 1 } }) as const,
          ),
        ),
      ),
    )
    expect(outcomes.flat().every(({ kind }) => kind === 'applied')).toBe(true)
  })

  test('leave no live child under a parent that is deleted meanwhile', async () => {
    for (let round = 0; round < 5; round++) {
      const parent = newId()
      await world.ada.one({
        table: 'tasks',
        op: 'insert',
        rowId: parent,
        set: { projectId: world.projectId, title: 'P' },
      })
      const [one, other] = await devices(2)
      await Promise.all([
        one?.one({ table: 'tasks', op: 'delete', rowId: parent }),
        other?.one({
          table: 'tasks',
          op: 'insert',
          set: { projectId: world.projectId, title: 'C', parentTaskId: parent },
        }),
      ])
      expect(
        await world.query('select id from tasks where parent_task_id = $1 and deleted_at is null', [parent]),
      ).toEqual([])
    }
  })
})

describe('what fails only at the commit', () => {
  test('is refused alone', async () => {
    await world.query(`create function refuse_late() returns trigger language plpgsql as $$ begin
      if new.name = 'late' then raise check_violation using message = 'Too late.', constraint = 'late', table = 'teams'; end if; return null; end $$`)
    await world.query(
      'create constraint trigger late after insert on teams deferrable initially deferred for each row execute function refuse_late()',
    )
    const team = (name: string) =>
      ({ table: 'teams', op: 'insert', rowId: newId(), set: { name, slug: `s-${name}` } }) as const
    const mutations = [team('early'), team('late'), team('later')].map((fields) => world.ada.make(fields))
    const outcomes = await world.ada.push(mutations)
    expect(outcomes).toMatchObject([
      { kind: 'applied' },
      { kind: 'rejected', error: { code: 'constraint_violated' } },
      { kind: 'applied' },
    ])
    expect(await world.ada.push(mutations)).toEqual(outcomes)
  })
})

describe('a lost connection', () => {
  test('is tried again', async () => {
    const rowId = await newMemory()
    const locker = await db.database.pool.connect()
    await locker.query('begin')
    await locker.query('select from memories where id = $1 for update', [rowId])
    const push = world.ada.one({ table: 'memories', op: 'increment', rowId, inc: { reinforcementCount: 1 } })
    let killed: readonly unknown[] = []
    while (killed.length === 0) {
      killed = await world.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%from "memories"%'`,
      )
    }
    await locker.query('rollback')
    locker.release()
    expect(await push).toMatchObject({ kind: 'applied' })
    expect(await world.query('select reinforcement_count as n from memories where id = $1', [rowId])).toEqual([
      { n: 1 },
    ])
  })
})
