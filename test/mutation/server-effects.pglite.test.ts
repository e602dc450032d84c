// What a write leads to in other rows, and what it may name there.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, newId, type TestDevice, type World } from './world.ts'

let db: TestDatabase
let world: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database)
})
afterAll(() => db.close())

test('a row that a push makes bears the id of its transaction, by which a live step proves it', async () => {
  const rowIds = [newId(), newId()]
  const insert = (rowId: string, title: string) => ({
    table: 'tasks',
    op: 'insert' as const,
    rowId,
    set: { projectId: world.projectId, title },
  })
  const ownTransaction = (rowId: string) =>
    world.query(`select t.xmin = m.xmin as own from tasks t join sync_mutations m on m.row_id = t.id where t.id = $1`, [
      rowId,
    ])
  expect(await world.ada.send(...rowIds.map((rowId) => insert(rowId, 'Together')))).toMatchObject([
    { kind: 'applied' },
    { kind: 'applied' },
  ])
  for (const rowId of rowIds) expect(await ownTransaction(rowId)).toEqual([{ own: true }])
})

describe('a project', () => {
  const newProject = async (): Promise<string> => {
    const rowId = newId()
    const set = { name: 'Short', slug: `short-${rowId}`, language: 'en', currentStage: 'build' }
    expect(await world.ada.one({ table: 'projects', op: 'insert', rowId, set })).toMatchObject({ kind: 'applied' })
    return rowId
  }
  const end = (rowId: string, status: string) =>
    world.ada.one({ table: 'projects', op: 'patch', rowId, set: { status }, base: { status: 'active' } })
  const tasksIn = async (projectId: string) => {
    for (const status of ['pending', 'in_progress', 'blocked', 'completed', 'failed'])
      await world.query(
        `insert into tasks (organization_id, project_id, title, status, lease_expires_at) values ($1, $2, $3, $3, case $3 when 'in_progress' then now() + interval '1 hour' end)`,
        [world.organizationId, projectId, status],
      )
  }

  test.each([
    ['cancelled', 'cancelled_projects', 'cancelled_at'],
    ['archived', 'archived_projects', 'archived_at'],
  ])('that is %s leaves a record, and stops its open tasks', async (status, view, time) => {
    const id = await newProject()
    await tasksIn(id)
    expect(await end(id, status)).toMatchObject({ kind: 'applied' })
    expect(await world.query(`select ${time} from projects where id = $1`, [id])).toEqual([
      { [time]: expect.any(Date) },
    ])
    expect(await world.query(`select * from ${view} where project_id = $1`, [id])).toMatchObject([
      {
        project_name: 'Short',
        language: 'en',
        stage: 'build',
        closed_by_user_id: world.ada.principal.id,
        closed_by_label: 'ada',
        owner_user_id: world.ada.principal.id,
        [time]: expect.any(Date),
        ...(status === 'archived' ? { completed_at: expect.any(Date) } : {}),
      },
    ])
    expect(
      await world.query(
        'select title, status, lease_expires_at as lease from tasks where project_id = $1 order by title',
        [id],
      ),
    ).toEqual(
      ['blocked', 'completed', 'failed', 'in_progress', 'pending'].map((title) => ({
        title,
        status: ['completed', 'failed'].includes(title) ? title : 'cancelled',
        lease: null,
      })),
    )
    await world.ada.one({ table: 'projects', op: 'patch', rowId: id, set: { name: 'Other' }, base: { name: 'Short' } })
    expect(await world.query('select kind from project_closures where project_id = $1', [id])).toEqual([
      { kind: status },
    ])
  })
})

describe('what a row is about', () => {
  const feedback = (subjectType: string, subjectId: string) =>
    ({
      table: 'feedback_loops',
      op: 'insert',
      set: { subjectType, subjectId, comment: 'good' },
    }) as const

  test('must be there, and visible to the writer', async () => {
    const subject = newId()
    expect(await world.ben.one(feedback('task', subject))).toMatchObject({
      kind: 'rejected',
      error: {
        code: 'foreign_key_violated',
        message: `feedback_loops.subjectId refers to ${subject} of tasks, which does not exist or is not visible here.`,
      },
    })
    const memory = { scope: 'user', userId: world.ada.principal.id, content: 'private' }
    await world.ada.one({ table: 'memories', op: 'insert', rowId: subject, set: memory })
    expect(await world.ben.one(feedback('memory', subject))).toMatchObject({ error: { code: 'foreign_key_violated' } })
    expect(await world.ada.one(feedback('memory', subject))).toMatchObject({ kind: 'applied' })
    // Also after its end.
    await world.ada.one({ table: 'memories', op: 'delete', rowId: subject })
    expect(await world.ada.one(feedback('memory', subject))).toMatchObject({ kind: 'applied' })
  })

  test('may be of a kind that is no table', async () => {
    const set = { source: 'ci', type: 'build.done', subjectType: 'build', subjectId: newId() }
    expect(await world.ben.one({ table: 'events', op: 'insert', set })).toMatchObject({ kind: 'applied' })
    expect(await world.ben.one({ table: 'events', op: 'insert', set: { ...set, subjectType: 'task' } })).toMatchObject({
      error: { code: 'foreign_key_violated' },
    })
  })
})

test('what is older than its log is kept for is refused, and says so', async () => {
  const event = (days: number) => {
    const occurredAt = new Date(Date.now() - days * 86_400_000).toISOString()
    return { table: 'events', op: 'insert', set: { source: 'ci', type: 'build.done', occurredAt } } as const
  }
  expect(await world.ben.one(event(179))).toMatchObject({ kind: 'applied' })
  expect(await world.ben.one(event(181))).toMatchObject({
    kind: 'rejected',
    error: { code: 'invalid_value', message: expect.stringMatching(/^events\.occurredAt is .* kept for 180 days\.$/) },
  })
  await world.query(
    `insert into retention_policies (organization_id, name, table_name, time_column, keep_for, action) values ($1, 'events', 'events', 'occurred_at', '10 days', 'delete')`,
    [world.organizationId],
  )
  expect(await world.ben.one(event(11))).toMatchObject({ error: { code: 'invalid_value' } })
  expect(await world.ben.one(event(9))).toMatchObject({ kind: 'applied' })
})

describe('the last owner of an organization', () => {
  const patch = (rowId: string, set: Readonly<Record<string, string>>) =>
    ({ table: 'organization_members', op: 'patch', rowId, set, base: { role: 'owner', status: 'active' } }) as const
  const memberships = async () => {
    const rows = await world.query<{ id: string; user: string }>(
      'select id, user_id as user from organization_members where organization_id = $1',
      [world.organizationId],
    )
    const of = ({ principal }: TestDevice): string => rows.find(({ user }) => user === principal.id)?.id ?? ''
    return { ada: of(world.ada), ben: of(world.ben) }
  }

  test('stays one, whether the role, the membership or the row would end', async () => {
    const { ada } = await memberships()
    const refusal = {
      kind: 'rejected',
      error: { code: 'forbidden', message: expect.stringMatching(/^organization_members .* no other active owner\.$/) },
    }
    expect(await world.ada.one(patch(ada, { role: 'admin' }))).toMatchObject(refusal)
    expect(await world.ada.one(patch(ada, { status: 'suspended' }))).toMatchObject(refusal)
    expect(await world.ada.one({ table: 'organization_members', op: 'delete', rowId: ada })).toMatchObject(refusal)
  })

  test('is not lost by two owners who are demoted in one push', async () => {
    const { ada, ben } = await memberships()
    await world.query(`update organization_members set role = 'owner' where id = $1`, [ben])
    const outcomes = await world.ada.send(patch(ben, { role: 'admin' }), patch(ada, { role: 'admin' }))
    expect(outcomes.map(({ kind }) => kind)).toEqual(['applied', 'rejected'])
    await world.query(`update organization_members set role = 'member' where id = $1`, [ben])
  })

  test('is not lost by two owners who demote each other at once', async () => {
    const { ada, ben } = await memberships()
    await world.query(`update organization_members set role = 'owner' where id = $1`, [ben])
    const outcomes = await Promise.all([
      world.ada.one(patch(ben, { role: 'admin' })),
      world.ben.one(patch(ada, { role: 'admin' })),
    ])
    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['applied', 'rejected'])
    await world.query(
      `update organization_members set role = case id when $1 then 'owner' else 'member' end where id in ($1, $2)`,
      [ada, ben],
    )
  })
})

test('what an agent uploads of its tools is stored without secrets, and so is what is refused of it', async () => {
  const agentId = world.scout.principal.id
  const secrets = {
    toolName: 'shell',
    operation: 'run',
    allowed: true,
    agentId,
    parameters: { command: 'ls', apiKey: 'k' },
  }
  const upload = (more: object) => ({ table: 'tool_audit_logs', op: 'insert', set: { ...secrets, ...more } }) as const
  const rowId = newId()
  const result = { text: 'Bearer abcdef', lines: 'x'.repeat(17_000) }
  expect(await world.scout.one({ ...upload({ result }), rowId })).toMatchObject({ kind: 'applied' })
  expect(await world.query('select parameters, result from tool_audit_logs where id = $1', [rowId])).toEqual([
    { parameters: { command: 'ls', apiKey: '[redacted]' }, result: { omitted: expect.stringMatching(/ characters$/) } },
  ])
  const refused = await world.scout.one(upload({ agentId: newId() }))
  expect(refused).toMatchObject({ kind: 'rejected' })
  expect(
    await world.query(`select payload -> 'set' -> 'parameters' as parameters from sync_mutations where id = $1`, [
      refused.mutationId,
    ]),
  ).toEqual([{ parameters: { command: 'ls', apiKey: '[redacted]' } }])
})

test('guests of a conversation change what is theirs, an observer reads only, and an owner among them may do more', async () => {
  const { ada, ben, eve } = world
  const conversationId = newId()
  const placeOf = (who: TestDevice): string =>
    uuidFromKey('conversation_participants', [conversationId, who.principal.id, null])
  const place = (who: TestDevice, role: string) => ({
    ...({ table: 'conversation_participants', op: 'insert', rowId: placeOf(who) } as const),
    set: { conversationId, userId: who.principal.id, role },
  })
  const message = (content: string) =>
    ({ table: 'messages', op: 'insert', rowId: newId(), set: { conversationId, role: 'user', content } }) as const
  const redact = ({ rowId }: { readonly rowId: string }) =>
    ({ table: 'messages', op: 'patch', rowId, set: { status: 'redacted' } }) as const
  const remove = (who: TestDevice) =>
    ({ table: 'conversation_participants', op: 'delete', rowId: placeOf(who) }) as const
  const give = (who: TestDevice, role: string) =>
    ({ table: 'conversation_participants', op: 'patch', rowId: placeOf(who), set: { role } }) as const
  const answers = async (who: TestDevice, ...sent: readonly Parameters<TestDevice['one']>[0][]) =>
    (await who.send(...sent)).map(({ kind, error }) => error?.code ?? kind)

  const [hers, his] = [message('hello'), message('hi')]
  const conversation = { scope: 'user', userId: ada.principal.id }
  expect(
    await answers(
      ada,
      { table: 'conversations', op: 'insert', rowId: conversationId, set: conversation } as const,
      ...[place(ben, 'participant'), place(eve, 'observer'), hers],
    ),
  ).toEqual(['applied', 'applied', 'applied', 'applied'])
  expect(await answers(ben, his, redact(hers), remove(eve), give(ben, 'owner'), redact(his))).toEqual([
    ...['applied', 'forbidden', 'forbidden', 'forbidden', 'applied'],
  ])
  expect(await answers(eve, message('me too'), redact(hers), give(eve, 'participant'))).toEqual([
    ...['forbidden', 'forbidden', 'forbidden'],
  ])
  const muted = {
    table: 'conversation_participants',
    op: 'patch',
    rowId: placeOf(eve),
    set: { isMuted: true },
  } as const
  expect(await answers(eve, muted, remove(eve))).toEqual(['applied', 'applied'])
  expect(await answers(ada, give(ben, 'owner'))).toEqual(['applied'])
  expect(await answers(ben, redact(hers), { ...place(eve, 'participant') })).toEqual(['applied', 'merged'])
})
