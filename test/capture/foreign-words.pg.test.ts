// Whoever may log in to the database can NOTIFY, emit messages into the WAL and set what they like: no server trips
// over it.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import type { ChangeSource, LogNews, WalPlace } from '../../server/capture/change-source.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import { openDatabase, type Database } from '../../server/db/db.ts'
import { silentLog, type Log } from '../../server/telemetry/telemetry.ts'
import { createWorld, insert, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { untilWriter } from '../support/log-writer.ts'

let db: TestDatabase
let other: Database
let world: World
let writer: ChangeSource
let follower: ChangeSource
const logged: string[] = []
const passedOver: string[] = []
const note = (message: string, details?: object): void => void logged.push(JSON.stringify({ message, ...details }))
const log: Log = { error: note, info: note, debug: note }
/** On which a wait of seconds is over soon. */
const fast: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() * 20 }
let sayToFollower: (text: string) => void = () => undefined
const news: LogNews = {
  tell: () => true,
  hear(listener) {
    sayToFollower = listener
    return () => undefined
  },
}
let wakeFollower: () => void = () => undefined

const query = async (text: string, values: readonly unknown[] = []) =>
  (await db.database.pool.query(text, [...values])).rows

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  world = await createWorld(db.database.pool)
  writer = createWalSource({
    ...{ database: db.database, clock: systemClock, random: systemRandom, log },
    onForeign: (reason) => passedOver.push(reason),
  })
  await writer.start(() => undefined)
  await untilWriter(writer)
  other = await openDatabase({ database: db.config })
  follower = createWalSource({ database: other, clock: fast, random: systemRandom, log: silentLog, news })
  await follower.start(() => wakeFollower())
})
afterAll(async () => {
  await follower.stop()
  await other.close()
  await writer.stop()
  await db.close()
})

async function addTask(): Promise<string> {
  const { id } = await insert(db.database.pool, 'tasks', {
    organization_id: world.organization,
    project_id: world.project,
    title: 'T',
  })
  return id
}

/** A place that nothing has reached, nor will. */
async function beyond(): Promise<WalPlace> {
  const [now] = await query(`select (pg_current_wal_insert_lsn() - '0/0')::float8 as place, sync.postgres_run() as run`)
  return { flushed: Number(now?.['place']) + 1e12, inserted: Number(now?.['place']) + 1e12, run: String(now?.['run']) }
}

test('a notification of somebody else ends no server and moves no position; the next commit is noticed', async () => {
  const place = await beyond()
  const foreign = ['x', '', '-1 -1', 'NaN NaN', '1e3 2', '1 2 3 4', `9007199254740991 9007199254740991 ${place.run}`]
  for (const payload of foreign) await query('select pg_notify($1, $2)', ['tidewire_log', payload])
  const noticed = new Promise<void>((resolve) => (wakeFollower = resolve))
  await addTask()
  await noticed
  await expect(follower.settle(async () => [], place)).rejects.toMatchObject({ code: 'timeout' })
  expect(await follower.head()).toBe(await writer.head())
})

test('news that are none move no position either', async () => {
  const place = await beyond()
  for (const text of ['', 'x', `1 NaN ${place.run}`, `1 Infinity ${place.run}`, `1 -1 ${place.run}`, `1  ${place.run}`])
    sayToFollower(text)
  await expect(follower.settle(async () => [], place)).rejects.toMatchObject({ code: 'timeout' })
})

test('a commit whose writer gave no good ids, or that says foreign words under our prefixes, is logged with all that others wrote', async () => {
  const head = await writer.head()
  const client = await db.database.pool.connect()
  const words = [
    ['tidewire.origin', 'hunter2'],
    ['tidewire.origin', '{"actor_user_id":"hunter2","mutation_id":7}'],
    ['tidewire.key', 'hunter2'],
    ['tidewire.key', '{"op":"upsert","channel":"hunter2","table_name":"tasks","row_id":"hunter2","born":false}'],
    ['tidewire.key', '{"op":"upsert","channel":"global","table_name":"tasks","row_id":null,"born":false}'],
    ['tidewire.key', '{"op":"reset","channel":"a\\u0000b","table_name":"tasks","row_id":null,"born":false}'],
    ['tidewire.key', `{"op":"reset","channel":"${'x'.repeat(4000)}","table_name":"tasks","row_id":null,"born":false}`],
  ]
  let id = ''
  try {
    await client.query('begin')
    await client.query(`set local app.user_id = 'bob'; set local app.device_id = '}'; set local app.mutation_id = '"'`)
    ;({ id } = await insert(client, 'tasks', {
      organization_id: world.organization,
      project_id: world.project,
      title: 'By bob',
    }))
    for (const [prefix, content] of words)
      await client.query('select pg_logical_emit_message(true, $1, $2)', [prefix, content])
    await client.query('commit')
  } finally {
    client.release()
  }
  const next = await addTask()
  await writer.head()
  const rows = await query(
    'select row_id, mutation_id, origin_device_id, actor_user_id from sync_changes where seq > $1 order by seq',
    [head],
  )
  expect(rows).toEqual(
    [id, next].map((row_id) => ({ row_id, mutation_id: null, origin_device_id: null, actor_user_id: null })),
  )
  expect(writer.role).toBe('writer')
  expect(logged.join('\n')).not.toContain('hunter2')
})

test('each message of another program, and each that nobody here would write, is counted', async () => {
  await writer.head()
  passedOver.length = 0
  await query(`select pg_logical_emit_message(false, 'other.program', 'hunter2')`)
  await query(`select pg_logical_emit_message(true, 'other.program', 'hunter2')`)
  await query(`select pg_logical_emit_message(true, 'tidewire.key', 'hunter2')`)
  await query(`select pg_logical_emit_message(true, 'tidewire.origin', '[]')`)
  await query(`select pg_logical_emit_message(false, 'tidewire.tell', '')`)
  await addTask()
  await writer.head()
  await follower.head()
  expect(passedOver).toEqual(['prefix', 'prefix', 'content', 'content', 'content'])
})
