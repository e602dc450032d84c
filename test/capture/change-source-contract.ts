// What every change source promises, however it learns of commits: the same database history gives the same log.
import { randomUUID } from 'node:crypto'
import type { PoolClient } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import type { SqlQuery } from '../../server/scope/sql-query.ts'
import { createWorld, insert, type Queryable, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { untilWriter } from '../support/log-writer.ts'

export interface SourceUnderTest {
  readonly kind: 'embedded' | 'postgres'
  /** Gives one over the database; it is started and stopped here. */
  readonly make: (db: TestDatabase) => ChangeSource
  /** What may differ from source to source, by docs/capture.md. */
  readonly differs: {
    /**
     * The first silent update of a row that the source has not seen is an entry: the WAL does not say what was before.
     */
    readonly logsFirstSilentUpdate: boolean
    /** Postgres refuses a write whose writer's id is none. Otherwise its entry has no writer. */
    readonly refusesNamelessWriter: boolean
    /** While a transaction is prepared, others that write wait for it: its place in the log is drawn already. */
    readonly waitsForPrepared: boolean
    /** A table without its triggers is captured: it is published. */
    readonly capturesWithoutTriggers: boolean
  }
}

interface LogRow {
  readonly seq: string
  readonly ordinal: number
  readonly xid: string
  readonly table_name: string
  readonly row_id: string | null
  readonly op: string
}

const placeSql = `select (pg_current_wal_flush_lsn() - '0/0')::text as flushed, (pg_current_wal_insert_lsn() - '0/0')::text as inserted, sync.postgres_run() as run`

export function changeSourceContract({ kind, make, differs }: SourceUnderTest): void {
  let db: TestDatabase
  let world: World
  let source: ChangeSource
  let woken: () => Promise<void>
  let head = 0

  beforeAll(async () => {
    db = await createTestDatabase({ kind })
    world = await createWorld(db.database.pool)
    ;({ source, woken } = await started())
    await untilWriter(source)
    await newChanges()
  })
  afterAll(async () => {
    await source.stop()
    await db.close()
  })

  const pool = () => db.database.pool

  /** A started source, and a wait for its next wake-up. */
  async function started(): Promise<{ readonly source: ChangeSource; readonly woken: () => Promise<void> }> {
    let next = Promise.withResolvers<void>()
    const one = make(db)
    await one.start(() => next.resolve())
    return {
      source: one,
      async woken() {
        await next.promise
        next = Promise.withResolvers<void>()
      },
    }
  }

  /** What was logged since the last call, of all that a snapshot of now sees. */
  async function newChanges(): Promise<readonly LogRow[]> {
    const client = await pool().connect()
    try {
      await client.query('begin isolation level repeatable read read only')
      const query: SqlQuery = ({ text, values }) => client.query(text, [...(values ?? [])]).then(({ rows }) => rows)
      const [place] = await query<{ flushed: string; inserted: string; run: string }>({ text: placeSql })
      const log = await source.settle(query, {
        flushed: Number(place?.flushed),
        inserted: Number(place?.inserted),
        run: place?.run ?? '',
      })
      const text = 'select * from sync_changes where seq > $1 order by seq, ordinal'
      const rows = await log<LogRow>({ text, values: [head] })
      head = Number(rows.at(-1)?.seq ?? head)
      return rows
    } finally {
      await client.query('rollback')
      client.release()
    }
  }

  async function inTransaction<T>(
    run: (client: PoolClient) => Promise<T>,
    end: 'commit' | 'rollback' | `prepare transaction '${string}'` = 'commit',
  ): Promise<T> {
    const client = await pool().connect()
    try {
      await client.query('begin')
      const result = await run(client)
      await client.query(end)
      return result
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  }

  const xidOf = async (client: PoolClient): Promise<string> =>
    (await client.query<{ xid: string }>('select pg_current_xact_id()::text as xid')).rows[0]?.xid ?? ''
  const addTask = (client: Queryable, title = 'T') =>
    insert(client, 'tasks', { organization_id: world.organization, project_id: world.project, title })
  const addMemory = (client: Queryable) =>
    insert(client, 'memories', {
      organization_id: world.organization,
      scope: 'user',
      user_id: world.user,
      agent_id: world.agent,
      content: randomUUID(),
    })
  const seqsOf = (changes: readonly LogRow[]): ReadonlySet<string> => new Set(changes.map(({ seq }) => seq))

  test('wakes after a commit, and after the next', async () => {
    for (let round = 0; round < 3; round++) {
      await addTask(pool())
      await expect(woken()).resolves.toBeUndefined()
    }
  })

  test('a hint wakes at once', async () => {
    const { source: one, woken: oneIsWoken } = await started()
    one.wake()
    await expect(oneIsWoken()).resolves.toBeUndefined()
    await one.stop()
  })

  test('of two, both wake after a commit', async () => {
    const second = await started()
    for (let round = 0; round < 3; round++) {
      await addTask(pool())
      await expect(Promise.all([woken(), second.woken()])).resolves.toHaveLength(2)
    }
    await second.source.stop()
  })

  test('its head grows with each commit', async () => {
    const before = await source.head()
    await addTask(pool())
    const after = await source.head()
    expect(after).toBeGreaterThan(before)
    expect(await source.head()).toBe(after)
  })

  test('hears nothing after it was stopped, and what it missed is there for the next', async () => {
    await newChanges()
    let heard = 0
    const one = make(db)
    await one.start(() => heard++)
    await one.stop()
    heard = 0
    await source.stop()
    const missed = await addTask(pool())
    one.wake()
    ;({ source, woken } = await started())
    expect(await newChanges()).toMatchObject([{ row_id: missed.id }])
    const { id } = await addTask(pool())
    await woken()
    expect(await newChanges()).toMatchObject([{ row_id: id }])
    expect(heard).toBe(0)
  })

  test('a start gives the database its epoch, and keeps it', async () => {
    const epoch = async (): Promise<unknown> => (await pool().query('select epoch from sync_heads')).rows
    const first = await epoch()
    expect(first).toHaveLength(1)
    const second = await started()
    expect(await epoch()).toEqual(first)
    await second.source.stop()
  })

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

  test('a transaction has one seq and its whole id, and its keys their order', async () => {
    const { ids, xid } = await inTransaction(async (client) => {
      const first = await addTask(client)
      const memory = await addMemory(client)
      const second = await addTask(client)
      return { ids: [first.id, memory.id, second.id], xid: await xidOf(client) }
    })
    const changes = await newChanges()
    expect(changes.map((change) => change.row_id)).toEqual(ids)
    expect(changes.map((change) => change.ordinal)).toEqual([0, 1, 2])
    expect(seqsOf(changes).size).toBe(1)
    expect(new Set(changes.map((change) => change.xid))).toEqual(new Set([xid]))
  })

  test('a later transaction has a higher seq', async () => {
    await addTask(pool())
    await addTask(pool())
    const [first, second] = await newChanges()
    expect(Number(second?.seq)).toBeGreaterThan(Number(first?.seq))
  })

  test('a rollback leaves nothing', async () => {
    await inTransaction(async (client) => {
      await addTask(client)
      await client.query('select sync.mark_canary()')
    }, 'rollback')
    expect(await newChanges()).toEqual([])
    const { rows } = await pool().query(
      'select (select count(*) from sync.pending_changes) + (select count(*) from sync.open_commits) as left_over',
    )
    expect(Number(rows[0].left_over)).toBe(0)
  })

  test('what is rolled back to a savepoint is not logged, what follows is', async () => {
    const { kept, xid } = await inTransaction(async (client) => {
      const of = await xidOf(client)
      await client.query('savepoint a')
      await addTask(client, 'gone')
      await client.query('select sync.mark_canary()')
      await client.query('rollback to a')
      await client.query('savepoint b')
      const task = await addTask(client, 'kept')
      await client.query('release b')
      return { kept: task.id, xid: of }
    })
    expect(await newChanges()).toMatchObject([{ row_id: kept, ordinal: 0, xid }])
  })

  test('a move carries the channel that the row left, a delete the one it was in', async () => {
    const memory = await addMemory(pool())
    await newChanges()
    await pool().query(`update memories set scope = 'agent' where id = $1`, [memory.id])
    expect(await newChanges()).toMatchObject([{ channel: `agent/${world.agent}`, old_channel: `user/${world.user}` }])
    await pool().query('delete from memories where id = $1', [memory.id])
    expect(await newChanges()).toMatchObject([
      { op: 'delete', row_id: memory.id, channel: `agent/${world.agent}`, old_channel: null },
    ])
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

  test('a delete after a move in the same transaction carries the channel, and the one before the move', async () => {
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
    expect(seqsOf(changes).size).toBe(1)
  })

  test('silent changes and changes of nothing are not logged', async () => {
    const { id } = await insert(pool(), 'agents', {
      organization_id: world.organization,
      name: 'beat',
      agent_type: 'generic',
    })
    await newChanges()
    // As after a start: of the row nothing is remembered.
    await source.stop()
    ;({ source, woken } = await started())
    await pool().query('update agents set last_heartbeat_at = now() where id = $1', [id])
    const first = await newChanges()
    expect(first.length).toBe(Number(differs.logsFirstSilentUpdate))
    expect(first).toMatchObject(first.map(() => ({ row_id: id, op: 'upsert', old_channel: null })))
    await pool().query('update agents set last_heartbeat_at = now() where id = $1', [id])
    await pool().query('update agents set name = name where id = $1', [id])
    await pool().query(`update agents set name = 'x' where false`)
    expect(await newChanges()).toEqual([])
    await pool().query(`update agents set name = 'loud' where id = $1`, [id])
    expect(await newChanges()).toMatchObject([{ row_id: id }])
    await pool().query('update agents set last_heartbeat_at = now() where id = $1', [id])
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

  test(`a write whose writer's id is none is ${differs.refusesNamelessWriter ? 'refused' : 'logged without a writer'}`, async () => {
    const written = inTransaction(async (client) => {
      await client.query(`set local app.user_id = 'bob'`)
      return addTask(client)
    })
    if (differs.refusesNamelessWriter) await expect(written).rejects.toMatchObject({ code: '22P02' })
    const logged = differs.refusesNamelessWriter ? [] : [{ row_id: (await written).id, actor_user_id: null }]
    const changes = await newChanges()
    expect(changes).toHaveLength(logged.length)
    expect(changes).toMatchObject(logged)
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

  test('a grant is logged for whom it lets in, with where it lets him', async () => {
    const member = await insert(pool(), 'project_members', {
      organization_id: world.organization,
      project_id: world.project,
      user_id: world.user,
    })
    const changes = await newChanges()
    // The order within a commit is that of each row, not of all rows.
    expect(changes.toSorted((a, b) => a.table_name.localeCompare(b.table_name))).toMatchObject([
      { table_name: 'project_members', row_id: member.id },
      {
        table_name: 'project_members.grants',
        row_id: member.id,
        op: 'upsert',
        channel: `user/${world.user}`,
        old_channel: `project/${world.project}`,
      },
    ])
    expect(seqsOf(changes).size).toBe(1)
  })

  test('a truncated table is one entry', async () => {
    await pool().query('truncate memory_tags')
    expect(await newChanges()).toMatchObject([
      { op: 'reset', table_name: 'memory_tags', row_id: null, channel: 'global' },
    ])
  })

  test('a table that is truncated and filled again in one transaction is one reset and its new rows', async () => {
    const memory = await addMemory(pool())
    await newChanges()
    const tag = await inTransaction(async (client) => {
      await client.query('truncate memory_tags')
      const values = { organization_id: world.organization, memory_id: memory.id, tag: 'new' }
      return insert(client, 'memory_tags', values)
    })
    const changes = await newChanges()
    expect(changes).toMatchObject([
      { table_name: 'memory_tags', op: 'reset' },
      { table_name: 'memory_tags', op: 'upsert', row_id: tag.id },
    ])
    expect(seqsOf(changes).size).toBe(1)
  })

  test('a constraint checked early does not split the commit', async () => {
    await inTransaction(async (client) => {
      await addTask(client)
      await client.query('set constraints all immediate')
      await addTask(client)
    })
    const changes = await newChanges()
    expect(changes.map((change) => change.ordinal)).toEqual([0, 1])
    expect(seqsOf(changes).size).toBe(1)
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

  test('a session that plays a replica is captured, with channels and origin', async () => {
    const task = await inTransaction(async (client) => {
      await client.query('set local session_replication_role = replica')
      await client.query(`select set_config('app.user_id', $1, true)`, [world.user])
      return addTask(client)
    })
    expect(await newChanges()).toMatchObject([
      { row_id: task.id, channel: `project/${world.project}`, actor_user_id: world.user },
    ])
  })

  test('a column that is added with a default changes rows without a change, and later ones are still captured', async () => {
    const task = await addTask(pool())
    await newChanges()
    await pool().query(`alter table tasks add column trap text not null default 'x'`)
    expect(await newChanges()).toEqual([])
    await pool().query(`update tasks set title = 'after' where id = $1`, [task.id])
    expect(await newChanges()).toMatchObject([{ row_id: task.id, op: 'upsert' }])
    await pool().query('alter table tasks drop column trap')
    await pool().query(`update tasks set title = 'again' where id = $1`, [task.id])
    expect(await newChanges()).toMatchObject([{ row_id: task.id, op: 'upsert' }])
  })

  test('an asynchronous commit is in the log once a snapshot that sees it has settled', async () => {
    for (let round = 0; round < 10; round++) {
      const { id } = await inTransaction(async (client) => {
        await client.query('set local synchronous_commit = off')
        return addTask(client)
      })
      expect(await newChanges()).toMatchObject([{ row_id: id }])
    }
  })

  // PGlite prepares no transactions.
  const others = kind === 'embedded' ? [] : [differs.waitsForPrepared ? 'wait for it' : 'wait for nothing']
  test.for(others)('a prepared transaction is logged where it is committed, and others %s', async () => {
    const { prepared, xid } = await inTransaction(async (client) => {
      const task = await addTask(client)
      await client.query('savepoint a')
      await addTask(client, 'gone')
      await client.query('rollback to a')
      return { prepared: task.id, xid: await xidOf(client) }
    }, `prepare transaction 'trap'`)
    const other = inTransaction(async (client) => {
      await client.query(`set local lock_timeout = '200ms'`)
      return addTask(client)
    })
    if (differs.waitsForPrepared) await expect(other).rejects.toMatchObject({ code: '55P03' })
    const between = differs.waitsForPrepared ? [] : [(await other).id]
    expect((await newChanges()).map((change) => change.row_id)).toEqual(between)
    await pool().query(`commit prepared 'trap'`)
    expect(await newChanges()).toMatchObject([{ row_id: prepared, xid }])
    await inTransaction((client) => addTask(client), `prepare transaction 'trap'`)
    await pool().query(`rollback prepared 'trap'`)
    expect(await newChanges()).toEqual([])
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

  test(`a table without its triggers is ${differs.capturesWithoutTriggers ? 'captured' : 'not captured'}, and with them again it is logged once`, async () => {
    await pool().query(`select sync.remove_capture('tasks')`)
    await addTask(pool())
    expect(await newChanges()).toHaveLength(Number(differs.capturesWithoutTriggers))
    await pool().query(`select sync.install_capture('tasks')`)
    const task = await addTask(pool())
    expect(await newChanges()).toMatchObject([{ row_id: task.id }])
  })
}
