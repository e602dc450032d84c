// What becomes of memories and knowledge with time and use.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decayMemories } from '../../server/maintenance/maintenance.ts'
import { createWorld, insert, rowOf, type SqlRow, type World } from './rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let db: TestDatabase
let world: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database.pool)
})
afterAll(() => db.close())

const query = async (text: string, values: readonly unknown[] = []) =>
  (await db.database.pool.query(text, [...values])).rows
const add = async (table: string, row: SqlRow) =>
  insert(db.database.pool, table, { organization_id: world.organization, ...row })
const read = async (table: string, { id }: SqlRow) => rowOf(db.database.pool, table, String(id))
const remember = (content: string, row: SqlRow = {}) =>
  add('memories', { scope: 'user', user_id: world.user, content, ...row })

describe('what is remembered already', () => {
  test('is reinforced, and the new row is superseded by it', async () => {
    const first = await remember('The deploy needs the VPN')
    const again = await remember('The deploy needs the VPN')
    expect(again).toMatchObject({
      status: 'superseded',
      superseded_by_id: first.id,
      content: 'The deploy needs the VPN',
    })
    expect(await read('memories', first)).toMatchObject({
      status: 'active',
      reinforcement_count: 1,
      last_reinforced_at: expect.any(Date),
    })
    const log = await query('select action from memory_logs where memory_id = $1 order by created_at, id', [first.id])
    expect(log).toEqual([{ action: 'created' }, { action: 'reinforced' }])
  })

  test.each([
    ['in another place', { scope: 'organization' }],
    ['by another owner', { agent_id: 'the agent' }],
    ['as the successor of another', { supersedes_id: 'another' }],
  ])('is another memory %s', async (_, differing) => {
    const content = `Remembered ${JSON.stringify(differing)}`
    const first = await remember(content)
    const ids: SqlRow = { 'the agent': world.agent, another: (await remember(`Before ${content}`)).id }
    const values = Object.fromEntries(Object.entries(differing).map(([name, value]) => [name, ids[value] ?? value]))
    expect(await remember(content, values)).toMatchObject({ status: 'active', superseded_by_id: null })
    expect(await read('memories', first)).toMatchObject({ reinforcement_count: 0 })
  })

  test.each([
    ['is deleted', { deleted_at: '2026-11-22T00:00:00Z' }],
    ['is archived', { status: 'archived' }],
    ['has expired', { expires_at: '2026-11-22T00:00:00Z' }],
  ])('but %s, is remembered anew', async (_, gone) => {
    const content = `Gone ${JSON.stringify(gone)}`
    await remember(content, gone)
    expect(await remember(content)).toMatchObject({ status: 'active' })
  })
})

describe('a memory fades', () => {
  /** Days without use, by which the strength of 0.5 × 0.8 falls by a factor. */
  const unused = (days: number, row: SqlRow = {}) =>
    remember(`Fading ${JSON.stringify([days, row])}`, {
      created_at: new Date(Date.now() - days * 86_400_000),
      ...row,
    })

  test('from hot to warm to cold, and is archived from there, unless it is pinned or core', async () => {
    await query('delete from memories')
    const cases: readonly (readonly [days: number, row: SqlRow, tier: string, status: string])[] = [
      [0, { tier: 'hot', importance: 1, confidence: 1 }, 'hot', 'active'],
      [30, { tier: 'hot' }, 'warm', 'active'], // 0.4 × e^-0.3 = 0.296
      [120, { tier: 'hot' }, 'cold', 'active'], // 0.120
      [120, {}, 'cold', 'active'],
      [120, { tier: 'cold' }, 'cold', 'active'],
      [300, { tier: 'cold' }, 'cold', 'archived'], // 0.020
      [300, { tier: 'warm' }, 'cold', 'active'],
      [300, { tier: 'core' }, 'core', 'active'],
      [300, { tier: 'hot', is_pinned: true }, 'hot', 'active'],
      // e^-2000 is no double precision any more.
      [2000, { tier: 'hot', is_pinned: true, decay_rate: 1 }, 'hot', 'active'],
      [300, { tier: 'hot', last_accessed_at: new Date(Date.now() - 86_400_000) }, 'warm', 'active'],
      [300, { tier: 'hot', decay_rate: 0, importance: 1, confidence: 0.5 }, 'hot', 'active'],
      [1, { expires_at: new Date(Date.now() - 1000) }, 'warm', 'expired'],
    ]
    const made = await Promise.all(cases.map(([days, row]) => unused(days, row)))
    expect(await decayMemories({ pool: db.database.pool, batch: 3 })).toBe(7)
    const after = await Promise.all(made.map((row) => read('memories', row)))
    expect(after.map(({ tier, status }) => [tier, status])).toEqual(cases.map(([, , tier, status]) => [tier, status]))
    const archived = made[5]
    expect(
      await query('select action from memory_logs where memory_id = $1 order by created_at, id', [archived?.id]),
    ).toEqual([{ action: 'created' }, { action: 'archived' }])
    // Once a night, whoever asks.
    expect(await decayMemories({ pool: db.database.pool })).toBeUndefined()
    expect(
      await query(`select status, rows_affected, finished_at from maintenance_runs where kind = 'memory_decay'`),
    ).toEqual([{ status: 'completed', rows_affected: '7', finished_at: expect.any(Date) }])
  })
})

describe('a knowledge entry', () => {
  const versions = async (id: unknown): Promise<readonly SqlRow[]> => {
    const entry = await read('knowledge_entries', { id })
    return entry['previous_version_id'] === null ? [entry] : [entry, ...(await versions(entry['previous_version_id']))]
  }

  test('keeps each former content as a frozen copy, where the entry is', async () => {
    const entry = await add('knowledge_entries', {
      scope: 'organization',
      entry_type: 'lesson',
      title: 'T',
      content: 'one',
    })
    for (const content of ['two', 'three'])
      await query('update knowledge_entries set content = $2 where id = $1', [entry.id, content])
    await query(`update knowledge_entries set title = 'U' where id = $1`, [entry.id])
    expect(
      (await versions(entry.id)).map((row) => ['revision', 'content', 'is_current', 'title'].map((name) => row[name])),
    ).toEqual([
      [3, 'three', true, 'U'],
      [2, 'two', false, 'T'],
      [1, 'one', false, 'T'],
    ])
    await query(`update knowledge_entries set scope = 'user', user_id = $2 where id = $1`, [entry.id, world.user])
    expect((await versions(entry.id)).map(({ channel }) => channel)).toEqual(
      Array.from({ length: 3 }, () => `user/${world.user}`),
    )
    await query('update knowledge_entries set deleted_at = now() where id = $1', [entry.id])
    for (const { deleted_at: deleted } of await versions(entry.id)) expect(deleted).toBeInstanceOf(Date)
    await query('update knowledge_entries set deleted_at = null where id = $1', [entry.id])
    for (const { deleted_at: deleted } of await versions(entry.id)) expect(deleted).toBeNull()
  })
})
