// A stream of the log by itself: its writer is refused, and what it has read must come again.
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import { captureNames } from '../../server/capture/wal/capture-names.ts'
import { openLogStream, type LogStream } from '../../server/capture/wal/log-stream.ts'
import { LogWriter } from '../../server/capture/wal/log-writer.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createWorld, insert, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { untilWriter } from '../support/log-writer.ts'

let db: TestDatabase
let world: World
let thief: pg.Client

/** On which statuses, which ask where the stream is, go out several times a second. */
const fast: Clock = { ...systemClock, after: (ms, run) => systemClock.after(ms === 5000 ? ms / 20 : ms, run) }

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  world = await createWorld(db.database.pool)
  const source = createWalSource({ database: db.database, clock: systemClock, random: systemRandom, log: silentLog })
  await source.start(() => undefined)
  await untilWriter(source)
  await source.stop()
  thief = new pg.Client(db.database.connection)
  await thief.connect()
})
afterAll(async () => {
  await thief.end()
  await db.close()
})

const query = async (text: string, values: readonly unknown[] = []) =>
  (await db.database.pool.query(text, [...values])).rows
/** Where the WAL ends now, on the disk. */
const place = async (): Promise<number> =>
  Number((await query(`select (pg_current_wal_flush_lsn() - '0/0')::text as place`))[0].place)
const names = async () => captureNames((await query('select current_database() as name'))[0].name)

/** A stream, and the places that it said everything before was in the log. */
async function open(onLogged: () => void = () => undefined): Promise<LogStream & { readonly places: number[] }> {
  const { slot, publication } = await names()
  await query(
    'select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = $1 and active',
    [slot],
  )
  const places: number[] = []
  const stream = await openLogStream({
    connection: db.database.connection,
    clock: fast,
    names: { slot, publication },
    holder: 'test',
    watch: { begin: () => () => undefined },
    openKeys: 1000,
    onRun: () => undefined,
    onPosition: (end) => places.push(end),
    onForeign: () => undefined,
    onCommit: () => undefined,
    onLogged,
  })
  return { ...stream, places }
}

test('a place that it hears of after its writer was refused is not confirmed: the commits before it come again', async () => {
  const { slot } = await names()
  const stream = await open()
  await LogWriter.claim(thief, slot, 'thief')
  const { id } = await insert(db.database.pool, 'tasks', {
    organization_id: world.organization,
    project_id: world.project,
    title: 'T',
  })
  const committed = await place()
  expect(await stream.ended).toMatchObject({ code: 'TW001' })
  // Nothing of it is sent: the stream hears by the answer to a status how far Postgres is.
  await query('create table noise (n integer)')
  const after = await place()
  const heard = `select write_lsn - '0/0' >= $2 as heard from pg_stat_replication join pg_replication_slots on active_pid = pid where slot_name = $1`
  await expect.poll(async () => (await query(heard, [slot, after]))[0]?.heard, { timeout: 60_000 }).toBe(true)
  const [{ confirmed }] = await query(
    `select (confirmed_flush_lsn - '0/0')::text as confirmed from pg_replication_slots where slot_name = $1`,
    [slot],
  )
  expect(Number(confirmed)).toBeLessThan(committed)
  expect(Math.max(0, ...stream.places)).toBeLessThan(committed)
  await stream.close()

  const logged = Promise.withResolvers<void>()
  const next = await open(logged.resolve)
  await logged.promise
  expect(await query('select op from sync_changes where row_id = $1', [id])).toEqual([{ op: 'upsert' }])
  await next.close()
})
