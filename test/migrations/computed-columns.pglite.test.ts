import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, rowOf, type Queryable, type SqlRow, type World } from './rows.ts'

let db: TestDatabase
let world: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database.pool)
})
afterAll(() => db.close())

const add = (table: string, values: SqlRow) =>
  insert(db.database.pool, table, { organization_id: world.organization, ...values })
const addTask = (values: SqlRow = {}) => add('tasks', { project_id: world.project, title: 'T', ...values })
const read = (table: string, id: string) => rowOf(db.database.pool, table, id)

async function set(table: string, id: string, values: SqlRow): Promise<SqlRow> {
  const names = Object.keys(values).map((name, index) => `${name} = $${index + 2}`)
  const { rows } = await db.database.pool.query(`update ${table} set ${names.join(', ')} where id = $1 returning *`, [
    id,
    ...Object.values(values),
  ])
  return rows[0]
}

describe('times of a status', () => {
  test('are set when it is reached and cleared when it is left', async () => {
    const task = await addTask()
    expect(task).toMatchObject({ started_at: null, completed_at: null })
    expect(await set('tasks', task.id, { status: 'in_progress' })).toMatchObject({
      started_at: expect.any(Date),
      completed_at: null,
    })
    expect(await set('tasks', task.id, { status: 'completed' })).toMatchObject({
      started_at: expect.any(Date),
      completed_at: expect.any(Date),
    })
    expect(await set('tasks', task.id, { status: 'pending' })).toMatchObject({
      started_at: expect.any(Date),
      completed_at: null,
      version: 4,
    })
  })

  test('stay through other changes', async () => {
    const task = await addTask({ status: 'completed', completed_at: '2026-01-01T00:00:00Z' })
    expect((await set('tasks', task.id, { title: 'U' }))['completed_at']).toEqual(new Date('2026-01-01T00:00:00Z'))
  })
})

test('a revision counts the changes of what it watches', async () => {
  expect(await set('agents', world.agent, { description: 'd' })).toMatchObject({ dna_revision: 1 })
  expect(await set('agents', world.agent, { dna: { extras: {} }, dna_revision: 40 })).toMatchObject({ dna_revision: 2 })
})

test('messages have places in the order in which they arrive, and the conversation their sums', async () => {
  const conversation = await add('conversations', { scope: 'user', user_id: world.user })
  const message = { conversation_id: conversation.id, role: 'user' }
  const first = await add('messages', { ...message, input_tokens: 5 })
  const second = await add('messages', { ...message, status: 'streaming' })
  expect([first['position'], second['position']]).toEqual([1, 2])
  await set('messages', second.id, { status: 'complete', content: 'done', output_tokens: 7, cost_usd: '0.5' })
  expect(await read('conversations', conversation.id)).toMatchObject({
    message_count: 2,
    total_tokens: '12',
    total_cost: '0.50000000',
    last_message_at: expect.any(Date),
  })
  await set('messages', second.id, { deleted_at: new Date() })
  expect(await read('conversations', conversation.id)).toMatchObject({ message_count: 1 })
  expect((await add('messages', message))['position']).toBe(3)
  await db.database.pool.query(
    `insert into messages (id, organization_id, conversation_id, role) values ($1, $2, $3, 'user') on conflict (id) do nothing`,
    [first.id, world.organization, conversation.id],
  )
  expect(await read('conversations', conversation.id)).toMatchObject({ message_count: 2 })
})

test('an agent knows the names of its enabled capabilities', async () => {
  const add1 = (name: string) => add('agent_capabilities', { agent_id: world.agent, name })
  const [search] = [await add1('search'), await add1('code')]
  expect(await read('agents', world.agent)).toMatchObject({ capability_names: ['code', 'search'] })
  await set('agent_capabilities', search.id, { is_enabled: false })
  expect(await read('agents', world.agent)).toMatchObject({ capability_names: ['code'] })
})

test('members carry the profile of their user', async () => {
  const member = await add('organization_members', { user_id: world.user })
  expect(member).toMatchObject({ email: expect.stringContaining('@'), display_name: null, joined_at: expect.any(Date) })
  await set('users', world.user, { name: 'Ada' })
  expect(await read('organization_members', member.id)).toMatchObject({ display_name: 'Ada', version: 2 })
})

describe('a memory', () => {
  let number = 0
  const remember = (values: SqlRow = {}) =>
    add('memories', { scope: 'user', user_id: world.user, content: `c ${++number}`, ...values })
  const vector = `[${Array.from({ length: 384 }, () => 0.1).join(',')}]`
  const logOf = async (id: string) =>
    (await db.database.pool.query('select * from memory_logs where memory_id = $1 order by created_at, id', [id])).rows

  test('waits for an embedding again when its content changes, where somebody makes them', async () => {
    await db.database.pool.query(`insert into system_settings (key, value) values ('embedding.provider', '"openai"')`)
    const memory = await remember()
    expect(memory).toMatchObject({ embedding_status: 'pending', embedded_at: null })
    expect(await set('memories', memory.id, { embedding: vector })).toMatchObject({
      embedding_status: 'ready',
      embedded_at: expect.any(Date),
    })
    expect(await set('memories', memory.id, { importance: 0.9 })).toMatchObject({ embedding_status: 'ready' })
    expect(await set('memories', memory.id, { content: 'd' })).toMatchObject({ embedding_status: 'pending' })
  })

  test('notes accesses silently', async () => {
    const memory = await remember()
    expect(await set('memories', memory.id, { access_count: 1 })).toMatchObject({
      last_accessed_at: expect.any(Date),
      version: 1,
    })
  })

  test('that supersedes another closes it', async () => {
    const old = await remember()
    const next = await remember({ supersedes_id: old.id })
    expect(await read('memories', old.id)).toMatchObject({ status: 'superseded', superseded_by_id: next.id })
    expect((await logOf(old.id)).map(({ action }) => action)).toEqual(['created', 'superseded'])
  })

  test('leaves a log of what was done to it, and by whom, that outlives it', async () => {
    /** In the name of somebody, or of the server itself. */
    async function as(actor: 'user' | 'agent' | 'nobody', work: (on: Queryable) => Promise<unknown>): Promise<void> {
      const client = await db.database.pool.connect()
      try {
        await client.query('begin')
        if (actor !== 'nobody') await client.query('select set_config($1, $2, true)', [`app.${actor}_id`, world[actor]])
        await work(client)
        await client.query('commit')
      } finally {
        client.release()
      }
    }
    const given = { organization_id: world.organization, scope: 'user', user_id: world.user }
    const [id, next] = [randomUUID(), randomUUID()]
    const change = (assignments: string) => (on: Queryable) =>
      on.query(`update memories set ${assignments} where id = $1`, [id])
    await as('agent', (on) => insert(on, 'memories', { ...given, id, content: 'to be logged' }))
    await as('user', change(`content = 'logged'`))
    await as('agent', change(`tier = 'hot'`))
    await as('user', change(`tier = 'cold'`))
    await as('agent', change(`reinforcement_count = 1`))
    await as('user', change('access_count = 5'))
    await as('agent', (on) => insert(on, 'memories', { ...given, id: next, content: 'logged anew', supersedes_id: id }))
    await as('user', change(`status = 'archived'`))
    await as('user', change('deleted_at = now()'))
    await as('agent', change(`deleted_at = null, title = 't'`))
    await as('nobody', change(`status = 'expired'`))
    await as('user', (on) => on.query('delete from memories where id = $1', [id]))
    const log = await logOf(id)
    const [user, agent] = [
      { actor_user_id: world.user, actor_agent_id: null },
      { actor_user_id: null, actor_agent_id: world.agent },
    ]
    expect(log).toMatchObject([
      { action: 'created', ...agent, memory_version: 1 },
      { action: 'updated', ...user, changed_columns: expect.arrayContaining(['content']) as unknown },
      { action: 'promoted', ...agent, changed_columns: ['tier'], before: { tier: 'warm' }, after: { tier: 'hot' } },
      { action: 'demoted', ...user, before: { tier: 'hot' }, after: { tier: 'cold' } },
      { action: 'reinforced', ...agent },
      { action: 'superseded', ...agent, after: { status: 'superseded' } },
      { action: 'archived', ...user },
      { action: 'deleted', ...user },
      { action: 'restored', ...agent },
      { action: 'expired', actor_user_id: null, actor_agent_id: null },
      { action: 'purged', ...user },
    ])
    // What it superseded is gone, so that it supersedes nothing any more.
    expect(await logOf(next)).toMatchObject([
      { action: 'created', ...agent },
      { action: 'updated', ...user, changed_columns: ['supersedes_id'] },
    ])
    expect(JSON.stringify(log)).not.toContain('embedding"')
  })
})

describe('a cycle is refused', () => {
  const refused = (table: string) => ({ code: '23514', constraint: `${table}_cycle` })

  test('refuses a task dependency that closes a cycle', async () => {
    const [a, b, c] = [await addTask(), await addTask(), await addTask()]
    const depends = (task: SqlRow, on: SqlRow) =>
      add('task_dependencies', { project_id: world.project, task_id: task['id'], depends_on_task_id: on['id'] })
    await depends(a, b)
    const middle = await depends(b, c)
    await expect(depends(c, a)).rejects.toMatchObject(refused('task_dependencies'))
    await set('task_dependencies', middle.id, { deleted_at: new Date() })
    await expect(depends(c, a)).resolves.toBeDefined()
    await expect(set('task_dependencies', middle.id, { deleted_at: null })).rejects.toMatchObject(
      refused('task_dependencies'),
    )
  })

  test('of parents, the row itself included', async () => {
    const parent = await addTask()
    const child = await addTask({ parent_task_id: parent.id })
    await expect(set('tasks', parent.id, { parent_task_id: child.id })).rejects.toMatchObject(refused('tasks'))
    await expect(set('tasks', parent.id, { parent_task_id: parent.id })).rejects.toMatchObject(refused('tasks'))
  })
})
