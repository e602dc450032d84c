import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, type SqlRow, type World } from '../migrations/rows.ts'

let db: TestDatabase
let world: World
let device: string
let memory: string
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database.pool)
  device = (
    await insert(db.database.pool, 'devices', {
      organization_id: world.organization,
      user_id: world.user,
      fingerprint: 'fingerprint',
      name: 'd',
      kind: 'cli',
    })
  ).id
  memory = (
    await insert(db.database.pool, 'memories', {
      organization_id: world.organization,
      scope: 'organization',
      content: 'c',
    })
  ).id
})
afterAll(() => db.close())

type Cases = Readonly<Record<string, readonly SqlRow[]>>

/** For every CHECK, by constraint name, rows that break it and no other. */
const cases: Readonly<Record<string, { readonly valid: () => SqlRow; readonly violations: Cases }>> = {
  tasks: {
    valid: () => ({ organization_id: world.organization, project_id: world.project, title: 'T' }),
    violations: {
      tasks_version_check: [{ version: 0 }],
      tasks_author_check: [{ created_by_user_id: 'user', created_by_agent_id: 'agent' }],
      tasks_kind_check: [{ kind: 'epic' }],
      tasks_title_check: [{ title: '' }, { title: 'x'.repeat(256) }],
      tasks_status_check: [{ status: 'done' }],
      tasks_priority_check: [{ priority: 'urgent' }],
      tasks_parallel_group_check: [{ parallel_group: '' }, { parallel_group: 'x'.repeat(21) }],
      tasks_progress_percentage_check: [{ progress_percentage: -0.01 }, { progress_percentage: 100.01 }],
      tasks_estimated_hours_check: [{ estimated_hours: -1 }],
      tasks_actual_hours_check: [{ actual_hours: -1 }],
      tasks_max_attempts_check: [{ max_attempts: 0 }, { max_attempts: 101 }],
      tasks_timeout_seconds_check: [{ timeout_seconds: 0 }],
      tasks_mobile_task_id_check: [{ mobile_task_id: '' }, { mobile_task_id: 'x'.repeat(256) }],
    },
  },
  memories: {
    valid: () => ({ organization_id: world.organization, scope: 'organization', content: 'c' }),
    violations: {
      memories_version_check: [{ version: 0 }],
      memories_author_check: [{ created_by_user_id: 'user', created_by_agent_id: 'agent' }],
      memories_scope_check: [{ scope: 'planet' }],
      memories_scope_id_check: [{ scope: 'project' }, { scope: 'team' }, { scope: 'user' }, { scope: 'agent' }],
      memories_memory_type_check: [{ memory_type: 'vague' }],
      memories_tier_check: [{ tier: 'tepid' }],
      memories_status_check: [{ status: 'forgotten' }],
      memories_source_check: [{ source: 'rumour' }],
      memories_title_check: [{ title: '' }, { title: 'x'.repeat(256) }],
      memories_content_check: [{ content: '' }, { content: 'x'.repeat(100_001) }],
      memories_embedding_status_check: [{ embedding_status: 'lost' }],
      memories_importance_check: [{ importance: -0.001 }, { importance: 1.001 }],
      memories_confidence_check: [{ confidence: -0.001 }, { confidence: 1.001 }],
      memories_decay_rate_check: [{ decay_rate: -0.00001 }, { decay_rate: 1.00001 }],
      memories_access_count_check: [{ access_count: -1 }],
      memories_reinforcement_count_check: [{ reinforcement_count: -1 }],
      memories_validity_check: [{ valid_from: '2026-01-02', valid_until: '2026-01-02' }],
      memories_supersedes_other_check: [
        { id: '01890000-0000-7000-8000-000000000001', supersedes_id: '01890000-0000-7000-8000-000000000001' },
      ],
      memories_embedding_ready_check: [{ embedding_status: 'ready' }],
    },
  },
}

/** Ids of the world are not known before the database is there. */
const resolve = (row: SqlRow): SqlRow =>
  Object.fromEntries(
    Object.entries(row).map(([column, value]) => [
      column,
      value === 'user' || value === 'agent' ? (column.endsWith('_id') ? world[value] : value) : value,
    ]),
  )

describe.each(Object.entries(cases))('%s', (table, { valid, violations }) => {
  test('takes a row with nothing but what it needs', async () => {
    await expect(insert(db.database.pool, table, valid())).resolves.toMatchObject({ version: 1 })
  })

  test('has a violating case for every CHECK', async () => {
    const { rows } = await db.database.pool.query(
      `select conname from pg_constraint where conrelid = $1::regclass and contype = 'c'`,
      [table],
    )
    expect(Object.keys(violations).sort()).toEqual(rows.map<string>(({ conname }) => conname).sort())
  })

  const list = Object.entries(violations).flatMap(([constraint, rows]) =>
    rows.map((row) => ({ constraint, row, shown: JSON.stringify(row).slice(0, 60) })),
  )
  test.each(list)('refuses $shown by $constraint', async ({ constraint, row }) => {
    const client = await db.database.pool.connect()
    try {
      await client.query('begin')
      // A row without a home is refused before its CHECKs are looked at; they must hold by themselves.
      await client.query(`alter table ${table} disable trigger a_channel`)
      await expect(insert(client, table, { ...valid(), channel: 'any', ...resolve(row) })).rejects.toMatchObject({
        code: '23514',
        constraint,
      })
    } finally {
      await client.query('rollback')
      client.release()
    }
  })
})

test('a bound is allowed itself', async () => {
  const bounds = { importance: 1, confidence: 0, decay_rate: 1, title: 'x'.repeat(255), content: '😀'.repeat(100_000) }
  await expect(
    insert(db.database.pool, 'memories', { organization_id: world.organization, scope: 'organization', ...bounds }),
  ).resolves.toMatchObject({ importance: '1.000' })
})

test.each([
  [
    'tasks',
    () => ({
      organization_id: world.organization,
      project_id: world.project,
      title: 'T',
      mobile_task_id: 'm',
      origin_device_id: device,
    }),
  ],
  ['memory_tags', () => ({ organization_id: world.organization, memory_id: memory, tag: 'urgent' })],
] as const)('a unique key of %s covers live rows only', async (table, row) => {
  const first = await insert(db.database.pool, table, row())
  await expect(insert(db.database.pool, table, row())).rejects.toMatchObject({ code: '23505' })
  await db.database.pool.query(`update ${table} set deleted_at = now() where id = $1`, [first.id])
  await expect(insert(db.database.pool, table, row())).resolves.toBeDefined()
})

test('the deletion of an organization takes all of it along', async () => {
  await db.database.pool.query('delete from organizations where id = $1', [world.organization])
  const { rows } = await db.database.pool.query(
    'select (select count(*) from tasks) + (select count(*) from memories) + (select count(*) from projects) as left_over',
  )
  expect(Number(rows[0].left_over)).toBe(0)
})
