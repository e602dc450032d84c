// Notices to people, that the database makes by itself. The table of kinds in docs/data-model.md is compared with it.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { SqlRow } from '../migrations/rows.ts'
import { createActionWorld, newId, type ActionWorld } from './world.ts'

let world: ActionWorld
/** Who is told. */
let person: string
let org: string
let agentId: string
let projectId: string
beforeAll(async () => {
  world = await createActionWorld()
  person = world.fixture.memberId
  org = world.fixture.organizationId
  ;({ id: agentId } = await world.add('agents', { name: 'theirs', agent_type: 'generic', owner_user_id: person }))
  ;({ id: projectId } = await world.add('projects', { name: 'Theirs', slug: 'theirs', owner_user_id: person }))
})
afterAll(() => world.close())
beforeEach(() => world.query('delete from notifications; delete from user_preferences'))

const notices = (of = person) =>
  world.query(
    'select kind, severity, title, body, read_at from notifications where user_id = $1 order by created_at, id',
    [of],
  )
const set = (table: string, row: SqlRow, values: string) =>
  world.query(`update ${table} set ${values} where id = $1`, [row['id']])

async function conversation(...people: readonly string[]) {
  const made = await world.add('conversations', { title: 'Plans', scope: 'organization' })
  for (const user of people) await world.add('conversation_participants', { conversation_id: made.id, user_id: user })
  return made
}
const say = (where: SqlRow, values: SqlRow = {}) =>
  world.add('messages', {
    conversation_id: where['id'],
    role: 'user',
    content: 'hello',
    sender_user_id: world.fixture.ownerId,
    ...values,
  })

let names = 0
async function execution(values: SqlRow = {}) {
  const name = `build ${++names}`
  const pipeline = await world.add('pipelines', { project_id: projectId, name })
  const run = {
    project_id: projectId,
    pipeline_id: pipeline.id,
    run_number: 1,
    definition_revision: 1,
    trigger_kind: 'manual',
  }
  return { pipeline, made: await world.add('pipeline_executions', { ...run, status: 'running', ...values }) }
}

/** What leads to a notice of each kind, by SQL as all ways come down to. */
const causes: Readonly<Record<string, () => Promise<unknown>>> = {
  'agent.budget_reached': () => world.query(`select sync.notice_of_budget($1, 'All of it.')`, [agentId]),
  'agent.crashed': async () =>
    set(
      'agent_instances',
      await world.add('agent_instances', { agent_id: agentId, status: 'idle' }),
      `status = 'crashed'`,
    ),
  'agent.failed': () =>
    world.add('agent_events', { agent_id: agentId, event_type: 'run.failed', severity: 'error', message: 'no more' }),
  'conflict.opened': async () => {
    const task = await world.addTask({ project_id: projectId })
    await world.add('sync_conflicts', {
      channel: `project/${projectId}`,
      user_id: person,
      mutation_id: newId(),
      table_name: 'tasks',
      row_id: task.id,
      kind: 'field',
    })
  },
  'conversation.mention': async () => say(await conversation(person), { metadata: { mentions: [person] } }),
  'conversation.message': async () => say(await conversation(person)),
  'credential.limit_reached': () =>
    world.add('audit_logs', {
      action: 'credential.read',
      table_name: 'credentials',
      row_id: newId(),
      outcome: 'denied',
      details: { provider: 'openrouter', label: 'default', userId: person, limitUsd: 5, spentUsd: 5.5 },
    }),
  'invitation.accepted': async () =>
    set(
      'sync.invitations',
      await world.add('sync.invitations', {
        email: 'new@example.com',
        role: 'member',
        token_hash: newId(),
        invited_by_user_id: person,
        expires_at: '2099-01-01',
      }),
      'accepted_at = now()',
    ),
  'pipeline.approval_waiting': async () => {
    const { pipeline, made } = await execution()
    const step = await world.add('pipeline_steps', { pipeline_id: pipeline.id, name: 'ask', kind: 'approval' })
    const asked = {
      project_id: projectId,
      execution_id: made.id,
      step_id: step.id,
      step_name: 'ask',
      status: 'pending',
    }
    await set('pipeline_step_executions', await world.add('pipeline_step_executions', asked), `status = 'queued'`)
  },
  'pipeline.failed': async () => set('pipeline_executions', (await execution()).made, `status = 'timed_out'`),
  'pipeline.gate_failed': async () =>
    set('pipeline_executions', (await execution()).made, `status = 'failed', gate_status = 'failed'`),
  'restore_test.failed': async () => {
    await world.query('update users set is_system_admin = true where id = $1', [person])
    const { rows } = await world.pool.query(`insert into backup_runs (kind) values ('restore_test') returning id`)
    await set('backup_runs', rows[0], `status = 'failed'`)
    await world.query('update users set is_system_admin = false')
  },
  'task.assigned': () => world.addTask({ assigned_user_id: person }),
  'workflow.failed': async () => {
    const workflow = { name: `flow ${++names}`, definition: { steps: [] }, created_by_user_id: person }
    const { id } = await world.add('workflows', workflow)
    const run = await world.add('workflow_runs', { workflow_id: id, definition_revision: 1, status: 'running' })
    await set('workflow_runs', run, `status = 'failed'`)
  },
}

test('the kinds are those of docs/data-model.md', async () => {
  const page = readFileSync(new URL('../../docs/data-model.md', import.meta.url), 'utf8')
  const told = [...page.matchAll(/^\| `([a-z_]+\.[a-z_]+)` \| (\w+) \|/gm)].map(([, kind, severity]) => ({
    kind,
    severity,
  }))
  expect(told).toEqual(await world.query('select kind, severity from sync.notice_kinds() order by kind'))
  expect(Object.keys(causes).toSorted()).toEqual(told.map(({ kind }) => kind))
})

describe.each(Object.entries(causes))('%s', (kind, cause) => {
  test('is told once, and to nobody who has switched it off', async () => {
    await cause()
    expect(await notices()).toMatchObject([{ kind }])
    await world.query('delete from notifications')
    await world.add('user_preferences', { user_id: person, category: 'notifications', key: kind, value: 'false' })
    await cause()
    expect(await notices()).toEqual([])
  })
})

test('a change is not told to who has made it', async () => {
  const client = await world.pool.connect()
  try {
    await client.query(`select set_config('app.user_id', $1, false)`, [person])
    await client.query(
      `insert into tasks (organization_id, project_id, title, assigned_user_id) values ($1, $2, 'mine', $3)`,
      [org, projectId, person],
    )
    await client.query(`select set_config('app.user_id', '', false)`)
  } finally {
    client.release()
  }
  const own = await conversation(person)
  await say(own, { sender_user_id: person })
  expect(await notices()).toEqual([])
})

test('a task is told again when it comes back to its person, and not when it is only edited', async () => {
  const task = await world.addTask({ assigned_user_id: person })
  await set('tasks', task, `title = 'edited'`)
  await set('tasks', task, `assigned_user_id = '${world.fixture.ownerId}'`)
  await set('tasks', task, `assigned_user_id = '${person}'`)
  expect((await notices()).map((row) => row['title'])).toEqual(['T is yours', 'edited is yours'])
  expect(await notices(world.fixture.ownerId)).toHaveLength(1)
})

test('messages are one notice until their reader has read on; mentions are each one, also where others are muted', async () => {
  const where = await conversation(person, world.fixture.viewerId)
  for (let n = 0; n < 3; n++) await say(where)
  await say(where, { metadata: { mentions: [person, world.fixture.agentId] } })
  expect((await notices()).map((row) => row['kind'])).toEqual(['conversation.message', 'conversation.mention'])
  expect(await notices(world.fixture.viewerId)).toHaveLength(1)
  await world.query(
    'update conversation_participants set last_read_position = 4, is_muted = true where conversation_id = $1 and user_id = $2',
    [where.id, person],
  )
  expect((await notices()).every((row) => row['read_at'] !== null)).toBe(true)
  await say(where)
  await say(where, { metadata: { mentions: [person] } })
  expect((await notices()).map((row) => row['kind'])).toEqual([
    'conversation.message',
    'conversation.mention',
    'conversation.mention',
  ])
  // What is no message of somebody, and what has no reader.
  await say(where, { role: 'system', sender_user_id: null })
  expect(await notices(world.fixture.viewerId)).toHaveLength(1)
})

test('who has left, and who has a hundred of a kind unread, is told no more', async () => {
  const membership = (status: string) =>
    world.query('update organization_members set status = $2 where user_id = $1', [person, status])
  await membership('suspended')
  await world.addTask({ assigned_user_id: person })
  await membership('active')
  expect(await notices()).toEqual([])
  await world.query(
    `insert into tasks (organization_id, project_id, title, assigned_user_id) select $1, $2, n::text, $3 from generate_series(1, 103) n`,
    [org, projectId, person],
  )
  expect(await notices()).toHaveLength(100)
  await world.query('update notifications set read_at = now()')
  await world.addTask({ assigned_user_id: person })
  expect(await notices()).toHaveLength(101)
})

test('a restore test is told to the owners where the system has no admin, and a limit to admins where the key is everybody’s', async () => {
  const { rows } = await world.pool.query(`insert into backup_runs (kind) values ('restore_test') returning id`)
  await set('backup_runs', rows[0], `status = 'failed', error_message = 'It is torn.'`)
  expect(await notices(world.fixture.ownerId)).toMatchObject([{ kind: 'restore_test.failed', body: 'It is torn.' }])
  const details = { provider: 'openrouter', label: 'default', userId: null, limitUsd: 5, spentUsd: 5.5 }
  const denied = { action: 'credential.read', row_id: newId(), outcome: 'denied', details }
  for (let n = 0; n < 2; n++) await world.add('audit_logs', denied)
  expect((await notices(world.fixture.ownerId)).map((row) => row['kind'])).toEqual([
    'restore_test.failed',
    'credential.limit_reached',
  ])
  expect(await notices()).toEqual([])
})
