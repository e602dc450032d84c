// What capture from the WAL does beside what every change source promises (change-source-contract.ts).
import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createWorld, insert, type Queryable, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { untilWriter } from '../support/log-writer.ts'
import { dropSlots, freeSlots } from '../support/postgres-admin.ts'

let db: TestDatabase
let world: World
let source: ChangeSource
let head = 0

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  world = await createWorld(db.database.pool)
  source = makeSource()
  await source.start(() => undefined)
  await untilWriter(source)
  await newChanges()
})
afterAll(async () => {
  await source.stop()
  await db.close()
})

const pool = () => db.database.pool
const makeSource = (onGap: (cause: string) => void = () => undefined) =>
  createWalSource({ database: db.database, clock: systemClock, random: systemRandom, log: silentLog, onGap })

async function newChanges() {
  await source.head()
  const { rows } = await pool().query('select * from sync_changes where seq > $1 order by seq, ordinal', [head])
  head = Number(rows.at(-1)?.seq ?? head)
  return rows
}

async function inTransaction<T>(run: (client: pg.PoolClient) => Promise<T>, end = 'commit'): Promise<T> {
  const client = await pool().connect()
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
const addTasks = (client: Queryable, count: number, title = 'many') =>
  client.query(
    'insert into tasks (organization_id, project_id, title) select $1, $2, $3 from generate_series(1, $4::integer)',
    [world.organization, world.project, title, count],
  )

test('a big transaction is one commit, and does not show before its end', async () => {
  await inTransaction(async (client) => {
    await addTasks(client, 60_000)
    await client.query('savepoint a')
    await addTasks(client, 30_000, 'gone')
    await client.query('rollback to a')
    await client.query(`update tasks set title = 'twice' where title = 'many'`)
    const small = await addTask(pool())
    expect(await newChanges()).toMatchObject([{ row_id: small.id }])
  })
  await source.head()
  const [entry, ...others] = await newChanges()
  expect(others).toEqual([])
  expect(entry).toMatchObject({ op: 'mark', table_name: 'sync.big_commits', row_id: null })
  const { rows } = await pool().query(
    `select b.keys::integer as keys, count(distinct k.row_id)::integer as rows, b.parts
     from sync.big_commits b join sync.spilled_changes k using (term, xid) where b.seq = $1 group by b.seq`,
    [entry?.seq],
  )
  const part = { table_name: 'tasks', channel: `project/${world.project}`, op: 'upsert', keys: 120_000 }
  expect(rows).toEqual([{ keys: 120_000, rows: 60_000, parts: [expect.objectContaining(part)] }])
  const kept = await pool().query('select from sync.spilled_changes')
  expect(kept.rowCount).toBe(120_000)
}, 120_000)

test('a killed walsender leaves no gap and nothing double', async () => {
  const ids: string[] = []
  for (let round = 0; round < 60; round++) {
    ids.push((await addTask(pool())).id)
    if (round % 20 === 10) {
      await pool().query(
        'select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database()',
      )
    }
  }
  const changes = await newChanges()
  expect(changes.map((change) => change.row_id)).toEqual(ids)
})

test('a commit that was logged and not confirmed is not logged twice', async () => {
  await source.stop()
  const logged = await addTask(pool())
  source = makeSource()
  await source.start(() => undefined)
  await untilWriter(source)
  expect(await newChanges()).toMatchObject([{ row_id: logged.id }])
  // Killed without a goodbye between log and confirmation: the server sends it again.
  const { rows } = await pool().query(
    'select slot_name, confirmed_flush_lsn::text as lsn from pg_replication_slots where database = current_database()',
  )
  const after = await addTask(pool())
  const before = await newChanges()
  expect(before).toMatchObject([{ row_id: after.id }])
  await pool().query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'tidewire%' and pid <> pg_backend_pid() and (application_name = 'tidewire log writer' or backend_type = 'walsender')`,
  )
  const last = await addTask(pool())
  expect(await newChanges()).toMatchObject([{ row_id: last.id }])
  const doubled = await pool().query(
    'select seq, row_id from sync_changes where row_id is not null group by seq, row_id, table_name having count(*) > 1',
  )
  expect(doubled.rows).toEqual([])
  expect(rows).toHaveLength(1)
})

test('a writer whose term is over is refused', async () => {
  const { rows } = await pool().query('select slot_name, term from sync_capture')
  const late = pool().query(
    `select sync.log_commits($1, $2, 1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')`,
    [rows[0].slot_name, Number(rows[0].term) - 1],
  )
  await expect(late).rejects.toMatchObject({ code: 'TW001' })
})

test('an entry whose place in the log is taken is refused, not dropped', async () => {
  await inTransaction(async (client) => {
    const { rows } = await client.query(
      'select slot_name as slot, term, last_seq + 1 as place from sync_capture for update',
    )
    const { slot, term, place } = rows[0]
    const entry = `insert into sync_changes (seq, ordinal, channel, table_name, op) values ($1, 0, 'global', 'tasks', 'reset')`
    await client.query(entry, [place])
    const logged = client.query(
      `select sync.log_commits($1, $2, $3, array[$3]::bigint[], '{0}', '{1}', '{0}', '{null}', '{global}', '{null}', '{tasks}', '{null}', '{reset}', '{null}', '{null}', '{null}', '{null}')`,
      [slot, term, place],
    )
    await expect(logged).rejects.toMatchObject({ code: '23505' })
  }, 'rollback')
})

test('a second server follows the log, and writes it when the first is gone', async () => {
  const second = makeSource()
  let next = Promise.withResolvers<void>()
  await second.start(() => next.resolve())
  const seen = async (): Promise<void> => {
    await next.promise
    next = Promise.withResolvers<void>()
  }
  await addTask(pool())
  await seen()
  const { id } = await addTask(pool())
  await second.head()
  expect((await pool().query('select from sync_changes where row_id = $1', [id])).rowCount).toBe(1)
  await source.stop()
  source = second
  next = Promise.withResolvers<void>()
  const later = await addTask(pool())
  await seen()
  expect((await newChanges()).at(-1)).toMatchObject({ row_id: later.id })
})

test('WAL that holds nothing of ours is let go', async () => {
  await pool().query('create table noise (n integer)')
  await pool().query('insert into noise select generate_series(1, 50000)')
  await source.head()
  const target = (await pool().query('select pg_current_wal_flush_lsn()::text as lsn')).rows[0].lsn
  const letGo = async (): Promise<boolean> => {
    const { rows } = await pool().query(
      'select confirmed_flush_lsn >= $1::pg_lsn as let_go from pg_replication_slots where database = current_database()',
      [target],
    )
    return rows[0].let_go
  }
  await expect.poll(letGo, { timeout: 30_000 }).toBe(true)
})

test('a dropped slot is made anew, and the epoch says that changes were missed', async () => {
  const epoch = async () => (await pool().query('select epoch from sync_heads')).rows[0].epoch
  const before = await epoch()
  await source.stop()
  await dropSlots(pool())
  await addTask(pool())
  source = makeSource()
  await source.start(() => undefined)
  await untilWriter(source)
  expect(await epoch()).not.toBe(before)
  head = Number(await source.head())
  const { id } = await addTask(pool())
  expect(await newChanges()).toMatchObject([{ row_id: id }])
})

test('a database that was brought here from another cluster begins with an empty log, and nobody missed anything', async () => {
  await source.stop()
  await dropSlots(pool())
  // What a dump brings along: transactions and places that are still to come here.
  await pool().query(`update sync_heads set system_identifier = '1'`)
  await pool().query(
    `update sync_changes set xid = (pg_current_xact_id()::text::bigint + 1000000)::text::xid8 where seq = $1`,
    [head],
  )
  await pool().query(
    `insert into sync_capture (slot_name, system_identifier, timeline, last_seq) values ('tidewire_elsewhere', '1', 1, 1e15)`,
  )
  const gaps: string[] = []
  source = makeSource((cause) => gaps.push(cause))
  await source.start(() => undefined)
  await untilWriter(source)
  expect((await pool().query('select seq from sync_changes')).rows).toEqual([])
  expect((await pool().query('select last_seq < 1e15 as here from sync_capture')).rows).toEqual([{ here: true }])
  expect(gaps).toEqual([])
  head = Number(await source.head())
  const { id } = await addTask(pool())
  expect(await newChanges()).toMatchObject([{ row_id: id }])
  expect((await pool().query('select restored from sync.settings')).rows).toEqual([{ restored: false }])
})

test('back to triggers and again to the WAL, positions only grow', async () => {
  await source.stop()
  await freeSlots(pool())
  await pool().query('select sync.capture_by_trigger()')
  const first = await addTask(pool())
  const byTrigger = await pool().query('select seq::text from sync_changes where row_id = $1', [first.id])
  expect(Number(byTrigger.rows[0].seq)).toBeGreaterThan(head)
  head = Number(byTrigger.rows[0].seq)
  source = makeSource()
  await source.start(() => undefined)
  await untilWriter(source)
  await newChanges()
  const second = await addTask(pool())
  expect(await newChanges()).toMatchObject([{ row_id: second.id }])
})
