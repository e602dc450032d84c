// What every synced row is given by triggers, the same on both databases.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, rowOf, type World } from './rows.ts'

export function rowTriggerContract(kind: 'embedded' | 'postgres'): void {
  let db: TestDatabase
  let world: World
  const sql = (text: string, values: unknown[] = []) => db.database.pool.query(text, values)
  const add = (table: string, values: Record<string, unknown>) => insert(db.database.pool, table, values)

  beforeAll(async () => {
    db = await createTestDatabase({ kind })
    world = await createWorld(db.database.pool)
  })
  afterAll(() => db.close())

  describe('channel', () => {
    test('of a tenant root names the row itself', async () => {
      expect(await rowOf(db.database.pool, 'organizations', world.organization)).toMatchObject({
        channel: `organization/${world.organization}`,
      })
      expect(await rowOf(db.database.pool, 'users', world.user)).toMatchObject({ channel: `user/${world.user}` })
    })

    test('is named by the first scope column that is not null', async () => {
      const run = { organization_id: world.organization }
      expect((await add('task_runs', { ...run, project_id: world.project, agent_id: world.agent }))['channel']).toBe(
        `project/${world.project}`,
      )
      expect((await add('task_runs', { ...run, agent_id: world.agent }))['channel']).toBe(`agent/${world.agent}`)
      expect((await add('task_runs', run))['channel']).toBe(`organization/${world.organization}`)
    })

    test('of a shipped row is global', async () => {
      expect((await add('agent_types', { key: 'drafter', name: 'Drafter' }))['channel']).toBe('global')
      expect(
        (await add('agent_types', { key: 'drafter', name: 'Own', organization_id: world.organization }))['channel'],
      ).toBe(`organization/${world.organization}`)
    })

    test.each([
      ['organization', {}, () => `organization/${world.organization}`],
      ['project', { project_id: 'project' }, () => `project/${world.project}`],
      ['team', { team_id: 'team' }, () => `team/${world.team}`],
      ['user', { user_id: 'user' }, () => `user/${world.user}`],
      ['agent', { agent_id: 'agent', project_id: 'project' }, () => `agent/${world.agent}`],
    ] as const)('of a row with scope %s is the one that the scope names', async (scope, ids, channel) => {
      const named = Object.fromEntries(Object.entries(ids).map(([column, key]) => [column, world[key]]))
      const memory = await add('memories', { organization_id: world.organization, scope, content: 'x', ...named })
      expect(memory['channel']).toBe(channel())
    })

    test("under a parent is the parent's own", async () => {
      const conversation = await add('conversations', {
        organization_id: world.organization,
        scope: 'user',
        user_id: world.user,
      })
      const message = await add('messages', {
        organization_id: world.organization,
        conversation_id: conversation.id,
        role: 'user',
      })
      expect(message['channel']).toBe(`conversation/${conversation.id}`)
      const repository = await add('repositories', {
        organization_id: world.organization,
        project_id: world.project,
        owner: 'o',
        name: 'n',
      })
      const branch = await add('repository_branches', {
        organization_id: world.organization,
        repository_id: repository.id,
        name: 'main',
      })
      expect(branch['channel']).toBe(`repository/${repository.id}`)
    })

    test('of a project is where people look for it', async () => {
      const project = { organization_id: world.organization, name: 'P' }
      expect((await add('projects', { ...project, slug: 'p1' }))['channel']).toBe(`organization/${world.organization}`)
      expect(
        (await add('projects', { ...project, slug: 'p2', visibility: 'team', team_id: world.team }))['channel'],
      ).toBe(`team/${world.team}`)
      const lost = await add('projects', { ...project, slug: 'p3', visibility: 'team' })
      expect(lost['channel']).toBe(`project/${lost.id}`)
      const own = await add('projects', { ...project, slug: 'p4', visibility: 'private' })
      expect(own['channel']).toBe(`project/${own.id}`)
    })

    test('of a conflict is the one given, and may move', async () => {
      const conflict = await add('sync_conflicts', {
        organization_id: world.organization,
        channel: `project/${world.project}`,
        user_id: world.user,
        mutation_id: world.user,
        table_name: 'tasks',
        row_id: world.project,
        kind: 'field',
      })
      expect(conflict['channel']).toBe(`project/${world.project}`)
      const { rows } = await sql(`update sync_conflicts set channel = 'global' where id = $1 returning channel`, [
        conflict.id,
      ])
      expect(rows[0].channel).toBe('global')
    })

    test('cannot be chosen by the writer', async () => {
      const team = await add('teams', {
        organization_id: world.organization,
        name: 'T',
        slug: 'forged',
        channel: 'global',
      })
      expect(team['channel']).toBe(`organization/${world.organization}`)
      const { rows } = await sql(`update teams set channel = 'global' where id = $1 returning channel, version`, [
        team.id,
      ])
      expect(rows[0]).toEqual({ channel: `organization/${world.organization}`, version: 1 })
    })

    test('is set even in replica role', async () => {
      const client = await db.database.pool.connect()
      try {
        await client.query('begin')
        await client.query('set local session_replication_role = replica')
        const team = await insert(client, 'teams', { organization_id: world.organization, name: 'T', slug: 'replica' })
        expect(team['channel']).toBe(`organization/${world.organization}`)
        await client.query('rollback')
      } finally {
        client.release()
      }
    })
  })

  describe('an update', () => {
    const newTask = (values = {}) =>
      add('tasks', { organization_id: world.organization, project_id: world.project, title: 'T', ...values })

    test('raises the version by one and the time', async () => {
      const task = await newTask({ updated_at: '2020-01-01T00:00:00Z' })
      const { rows } = await sql(
        `update tasks set title = 'U', version = 40 where id = $1 returning version, updated_at`,
        [task.id],
      )
      expect(rows[0].version).toBe(2)
      expect(rows[0].updated_at.getFullYear()).toBeGreaterThan(2020)
    })

    test('that changes nothing leaves the version', async () => {
      const task = await newTask()
      const { rows } = await sql(`update tasks set title = 'T' where id = $1 returning version`, [task.id])
      expect(rows[0].version).toBe(1)
    })

    test('of silent columns alone leaves version and time', async () => {
      const agent = await add('agents', { organization_id: world.organization, name: 'silent', agent_type: 'generic' })
      const { rows } = await sql(
        `update agents set last_heartbeat_at = now(), host_name = 'h' where id = $1 returning version, updated_at, host_name`,
        [agent.id],
      )
      expect(rows[0]).toEqual({ version: 1, updated_at: agent['updated_at'], host_name: 'h' })
      const { rows: both } = await sql(
        `update agents set host_name = 'i', status = 'online' where id = $1 returning version`,
        [agent.id],
      )
      expect(both[0].version).toBe(2)
    })

    test('is not fooled by generated columns', async () => {
      const task = await newTask()
      const { rows } = await sql(
        `update tasks set priority = 'critical' where id = $1 returning version, priority_rank`,
        [task.id],
      )
      expect(rows[0]).toEqual({ version: 2, priority_rank: 4 })
    })

    test('keeps the time of creation', async () => {
      const task = await newTask()
      const { rows } = await sql(
        `update tasks set created_at = now() - interval '1 year', title = 'U' where id = $1 returning created_at`,
        [task.id],
      )
      expect(rows[0].created_at).toEqual(task['created_at'])
    })

    test.each(['id', 'organization_id', 'project_id'])('of %s is refused', async (column) => {
      const task = await newTask()
      await expect(sql(`update tasks set ${column} = sync.uuid_v7() where id = $1`, [task.id])).rejects.toMatchObject({
        code: '23514',
        column,
      })
    })

    test('may clear a fixed column only as the consequence of a delete', async () => {
      const device = await add('devices', {
        organization_id: world.organization,
        user_id: world.user,
        fingerprint: 'fingerprint',
        name: 'd',
        kind: 'cli',
      })
      const conflict = await add('sync_conflicts', {
        organization_id: world.organization,
        channel: 'global',
        user_id: world.user,
        mutation_id: device.id,
        device_id: device.id,
        table_name: 'tasks',
        row_id: world.project,
        kind: 'field',
        status: 'resolved',
        resolved_at: new Date(),
      })
      await expect(
        sql('update sync_conflicts set device_id = null where id = $1', [conflict.id]),
      ).rejects.toMatchObject({ code: '23514' })
      await sql('delete from devices where id = $1', [device.id])
      expect(await rowOf(db.database.pool, 'sync_conflicts', conflict.id)).toMatchObject({
        device_id: null,
        version: 2,
      })
    })

    test('completes a streaming message, and no other', async () => {
      const conversation = await add('conversations', {
        organization_id: world.organization,
        scope: 'user',
        user_id: world.user,
      })
      const message = { organization_id: world.organization, conversation_id: conversation.id, role: 'assistant' }
      const streaming = await add('messages', { ...message, status: 'streaming' })
      await sql(`update messages set content = 'done', status = 'complete' where id = $1`, [streaming.id])
      await expect(sql(`update messages set content = 'again' where id = $1`, [streaming.id])).rejects.toMatchObject({
        column: 'content',
      })
    })
  })

  describe('ids', () => {
    test.each([
      ['memory_tags', ['01890000-0000-7000-8000-000000000000', 'urgent']],
      ['team_memberships', ['01890000-0000-7000-8000-000000000000', null, 'a"b\\c/\n\u0001é😀']],
      ['project_states', []],
    ])('from the key of %s are the same in SQL and in TypeScript', async (table, key) => {
      const { rows } = await sql('select sync.uuid_from_key($1, $2) as id', [table, key])
      expect(rows[0].id).toBe(uuidFromKey(table, key))
    })

    test('are UUIDs of version 7 with the time of the server', async () => {
      const { rows } = await sql('select sync.uuid_v7() as id, extract(epoch from clock_timestamp()) * 1000 as now')
      expect(rows[0].id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab]/)
      expect(
        Math.abs(Number.parseInt(rows[0].id.replace('-', '').slice(0, 12), 16) - Number(rows[0].now)),
      ).toBeLessThan(1000)
    })
  })
}
