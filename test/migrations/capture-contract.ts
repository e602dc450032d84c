// What change capture by trigger promises, the same on both databases.
import { randomUUID } from 'node:crypto'
import type { PoolClient } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, type Queryable, type World } from './rows.ts'

export function captureContract(kind: 'embedded' | 'postgres'): void {
  let db: TestDatabase
  let world: World
  let head = 0

  beforeAll(async () => {
    db = await createTestDatabase({ kind })
    world = await createWorld(db.database.pool)
    await newChanges()
  })
  afterAll(() => db.close())

  /** What was logged since the last call. */
  async function newChanges() {
    const { rows } = await db.database.pool.query('select * from sync_changes where seq > $1 order by seq, ordinal', [
      head,
    ])
    head = Number(rows.at(-1)?.seq ?? head)
    return rows
  }

  async function inTransaction<T>(
    run: (client: PoolClient) => Promise<T>,
    end: 'commit' | 'rollback' = 'commit',
  ): Promise<T> {
    const client = await db.database.pool.connect()
    try {
      await client.query('begin')
      const result = await run(client)
      await client.query(end)
      return result
    } finally {
      client.release()
    }
  }

  const addTask = (client: Queryable, title = 'T') =>
    insert(client, 'tasks', { organization_id: world.organization, project_id: world.project, title })
  const addMemory = (client: Queryable, scope: 'user' | 'agent' = 'user') =>
    insert(client, 'memories', {
      organization_id: world.organization,
      scope,
      user_id: world.user,
      agent_id: world.agent,
      content: randomUUID(),
    })
  const pool = () => db.database.pool

  test('an insert is logged with its channel and organization', async () => {
    const task = await addTask(pool())
    expect(await newChanges()).toMatchObject([
      {
        ordinal: 0,
        table_name: 'tasks',
        row_id: task.id,
        op: 'upsert',
        channel: `project/${world.project}`,
        old_channel: null,
        organization_id: world.organization,
        mutation_id: null,
        origin_device_id: null,
      },
    ])
  })

  test('a transaction has one seq, and its keys their order', async () => {
    const ids = await inTransaction(async (client) => {
      const first = await addTask(client)
      const memory = await addMemory(client)
      const second = await addTask(client)
      return [first.id, memory.id, second.id]
    })
    const changes = await newChanges()
    expect(changes.map((change) => change.row_id)).toEqual(ids)
    expect(changes.map((change) => change.ordinal)).toEqual([0, 1, 2])
    expect(new Set(changes.map((change) => change.seq)).size).toBe(1)
    expect(new Set(changes.map((change) => change.xid)).size).toBe(1)
  })

  test('a later transaction has a higher seq', async () => {
    await addTask(pool())
    await addTask(pool())
    const [first, second] = await newChanges()
    expect(Number(second.seq)).toBeGreaterThan(Number(first.seq))
  })

  test('a rollback leaves nothing', async () => {
    await inTransaction((client) => addTask(client), 'rollback')
    expect(await newChanges()).toEqual([])
    const { rows } = await pool().query(
      'select (select count(*) from sync.pending_changes) + (select count(*) from sync.open_commits) as left_over',
    )
    expect(Number(rows[0].left_over)).toBe(0)
  })

  test('what is rolled back to a savepoint is not logged, what follows is', async () => {
    const kept = await inTransaction(async (client) => {
      await client.query('savepoint s')
      await addTask(client, 'gone')
      await client.query('rollback to s')
      return addTask(client, 'kept')
    })
    expect(await newChanges()).toMatchObject([{ row_id: kept.id, ordinal: 0 }])
  })

  test('a move carries the channel that the row left', async () => {
    const memory = await addMemory(pool())
    await newChanges()
    await pool().query(`update memories set scope = 'agent' where id = $1`, [memory.id])
    expect(await newChanges()).toMatchObject([{ channel: `agent/${world.agent}`, old_channel: `user/${world.user}` }])
  })

  test('several changes of a row fold into the last, with the channel before the first', async () => {
    const memory = await addMemory(pool())
    await newChanges()
    await inTransaction(async (client) => {
      await client.query(`update memories set scope = 'organization' where id = $1`, [memory.id])
      await client.query(`update memories set scope = 'agent' where id = $1`, [memory.id])
      await client.query(`update memories set title = 't' where id = $1`, [memory.id])
    })
    expect(await newChanges()).toMatchObject([
      { channel: `agent/${world.agent}`, old_channel: `user/${world.user}`, op: 'upsert' },
    ])
  })

  test('a row moved there and back has no old channel', async () => {
    const memory = await addMemory(pool())
    await newChanges()
    await inTransaction(async (client) => {
      await client.query(`update memories set scope = 'agent' where id = $1`, [memory.id])
      await client.query(`update memories set scope = 'user' where id = $1`, [memory.id])
    })
    expect(await newChanges()).toMatchObject([{ channel: `user/${world.user}`, old_channel: null }])
  })

  test('a row born and moved in one transaction left no channel', async () => {
    await inTransaction(async (client) => {
      const memory = await addMemory(client)
      await client.query(`update memories set scope = 'agent' where id = $1`, [memory.id])
    })
    expect(await newChanges()).toMatchObject([{ channel: `agent/${world.agent}`, old_channel: null }])
  })

  test('a row born and deleted in one transaction was never there', async () => {
    await inTransaction(async (client) => {
      const task = await addTask(client)
      await client.query('delete from tasks where id = $1', [task.id])
    })
    expect(await newChanges()).toEqual([])
  })

  test('a row deleted and born again was there before, and is there', async () => {
    const task = await addTask(pool())
    await newChanges()
    await inTransaction(async (client) => {
      await client.query('delete from tasks where id = $1', [task.id])
      await insert(client, 'tasks', {
        id: task.id,
        organization_id: world.organization,
        project_id: world.project,
        title: 'again',
      })
    })
    expect(await newChanges()).toMatchObject([
      { ordinal: 0, row_id: task.id, op: 'delete' },
      { ordinal: 1, row_id: task.id, op: 'upsert', old_channel: null },
    ])
  })

  test('a delete carries the channel, and the one before a move in the same transaction', async () => {
    const memory = await addMemory(pool())
    await newChanges()
    await inTransaction(async (client) => {
      await client.query(`update memories set scope = 'agent' where id = $1`, [memory.id])
      await client.query('delete from memories where id = $1', [memory.id])
    })
    expect(await newChanges()).toMatchObject([
      { op: 'delete', channel: `agent/${world.agent}`, old_channel: `user/${world.user}` },
    ])
  })

  test('a cascade logs every row it deletes', async () => {
    const parent = await addTask(pool())
    await pool().query(
      'insert into tasks (organization_id, project_id, title, parent_task_id) select $1, $2, $3, $4 from generate_series(1, 3)',
      [world.organization, world.project, 'child', parent.id],
    )
    await newChanges()
    await pool().query('delete from tasks where id = $1', [parent.id])
    const changes = await newChanges()
    expect(changes.map((change) => change.op)).toEqual(['delete', 'delete', 'delete', 'delete'])
    expect(new Set(changes.map((change) => change.seq)).size).toBe(1)
  })

  test('silent changes and changes of nothing are not logged', async () => {
    await pool().query('update agents set last_heartbeat_at = now() where id = $1', [world.agent])
    await pool().query('update agents set name = name where id = $1', [world.agent])
    await pool().query(`update agents set name = 'x' where false`)
    expect(await newChanges()).toEqual([])
  })

  test('the writer is named by the settings of the transaction', async () => {
    const [mutation, device] = ['01890000-0000-7000-8000-000000000001', '01890000-0000-7000-8000-000000000002']
    await inTransaction(async (client) => {
      await client.query(
        `select set_config('app.mutation_id', $1, true), set_config('app.device_id', $2, true), set_config('app.user_id', $3, true), set_config('app.agent_id', '', true)`,
        [mutation, device, world.user],
      )
      await addTask(client)
    })
    await addTask(pool())
    expect(await newChanges()).toMatchObject([
      { mutation_id: mutation, origin_device_id: device, actor_user_id: world.user, actor_agent_id: null },
      { mutation_id: null, origin_device_id: null, actor_user_id: null },
    ])
  })

  test('marks tell the device that its writes are settled, each of them', async () => {
    const device = '01890000-0000-7000-8000-000000000002'
    const mutations = ['01890000-0000-7000-8000-00000000000a', '01890000-0000-7000-8000-00000000000b']
    await inTransaction(async (client) => {
      for (const mutation of mutations)
        await client.query('select sync.mark($1, $2, $3)', [mutation, device, world.organization])
    })
    expect(await newChanges()).toMatchObject(
      mutations.map((mutation) => ({
        op: 'mark',
        channel: `device/${device}`,
        mutation_id: mutation,
        origin_device_id: device,
        row_id: null,
      })),
    )
  })

  test('a canary is a commit of its own', async () => {
    await pool().query('select sync.mark_canary()')
    expect(await newChanges()).toMatchObject([{ op: 'mark', channel: 'canary' }])
  })

  test('a truncated table is one entry', async () => {
    await pool().query('truncate memory_tags')
    expect(await newChanges()).toMatchObject([
      { op: 'reset', table_name: 'memory_tags', row_id: null, channel: 'global' },
    ])
  })

  test('a constraint checked early does not split the commit', async () => {
    await inTransaction(async (client) => {
      await addTask(client)
      await client.query('set constraints all immediate')
      await addTask(client)
    })
    const changes = await newChanges()
    expect(changes.map((change) => change.ordinal)).toEqual([0, 1])
    expect(new Set(changes.map((change) => change.seq)).size).toBe(1)
  })

  test('tokens and sessions are logged when they stop being good, for those they let in', async () => {
    const token = await insert(pool(), 'access_tokens', {
      organization_id: world.organization,
      agent_id: world.agent,
      name: 'ci',
      token_hash: Buffer.from('1'),
      token_prefix: 'tide',
    })
    const session = await insert(pool(), 'auth_sessions', {
      user_id: world.user,
      refresh_token_hash: Buffer.from('1'),
      expires_at: new Date(),
    })
    await newChanges()
    await pool().query('update access_tokens set last_used_at = now() where id = $1', [token.id])
    await pool().query('update access_tokens set revoked_at = now() where id = $1', [token.id])
    await pool().query('update auth_sessions set revoked_at = now() where id = $1', [session.id])
    expect(await newChanges()).toMatchObject([
      {
        table_name: 'access_tokens',
        row_id: token.id,
        channel: `access/${world.agent}`,
        organization_id: world.organization,
      },
      { table_name: 'auth_sessions', row_id: session.id, channel: `access/${world.user}`, organization_id: null },
    ])
  })

  test('a commit is announced where the settings say so', async () => {
    const heard: string[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    const stop = db.database.onNotify(({ channel, payload }) => {
      if (channel !== 'sync_changes') return
      heard.push(payload)
      resolve()
    })
    await db.database.listen('sync_changes')
    await addTask(pool(), 'silent')
    await pool().query('update sync.settings set notify = true')
    await addTask(pool(), 'announced')
    await promise
    await pool().query('update sync.settings set notify = false')
    stop()
    const changes = await newChanges()
    expect(heard).toEqual([String(changes.at(-1).seq)])
  })

  test('the epoch stays while the database is the same, and changes with it', async () => {
    const epoch = async () => (await pool().query('select sync.ensure_epoch() as epoch')).rows[0].epoch
    const first = await epoch()
    expect(await epoch()).toBe(first)
    await pool().query(`update sync_heads set system_identifier = 'another'`)
    const second = await epoch()
    expect(second).not.toBe(first)
    expect(await epoch()).toBe(second)
  })

  test('a start of Postgres begins an epoch, and what the one before reached is kept', async () => {
    const heads = async () => {
      const { rows } = await pool().query<{ epoch: string; former: string[] }>(
        `select epoch, (select coalesce(array_agg(f.epoch || ' ' || f.ended_at order by f.ended_at), '{}') from sync.former_epochs f where f.heir = h.epoch) as former from sync_heads h`,
      )
      return rows[0] ?? { epoch: '', former: [] }
    }
    const restart = () => pool().query(`update sync.settings set started = started - interval '1 second'`)
    await pool().query('select sync.ensure_epoch()')
    await addTask(pool())
    const [end, first] = [(await newChanges()).at(-1).seq, await heads()]
    await restart()
    await pool().query('select sync.ensure_epoch()')
    const second = await heads()
    expect(second.epoch).not.toBe(first.epoch)
    expect(second.former.at(-1)).toBe(`${first.epoch} ${end}`)
    await restart()
    await addTask(pool())
    // The first commit finds out by itself, before it is logged.
    const third = await heads()
    expect(third.former.slice(-2)).toEqual([`${first.epoch} ${end}`, `${second.epoch} ${end}`])
    expect(await newChanges()).toHaveLength(1)
    await pool().query(`update sync_heads set system_identifier = 'another'`)
    await pool().query('select sync.ensure_epoch()')
    expect((await heads()).former).toEqual([])
  })

  test('capture can be taken off and put on again', async () => {
    await pool().query(`select sync.remove_capture('tasks')`)
    await addTask(pool())
    expect(await newChanges()).toEqual([])
    await pool().query(`select sync.install_capture('tasks')`)
    await addTask(pool())
    expect(await newChanges()).toHaveLength(1)
  })
}
