// The commits are there and the slot is read, and the log cannot be written.
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { silentLog, Troubles } from '../../server/telemetry/telemetry.ts'
import { createWorld, insert, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { untilWriter } from '../support/log-writer.ts'

let db: TestDatabase
let world: World
let source: ChangeSource
let troubles: Troubles
const lines: unknown[] = []

/** On which the limits of seconds are soon reached. */
const fast: Clock = {
  ...systemClock,
  after: (ms, run) => systemClock.after(ms >= 5000 ? ms / 20 : ms, run),
}

beforeEach(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  world = await createWorld(db.database.pool)
  lines.length = 0
})
afterEach(async () => {
  await source.stop()
  await db.close()
})

async function start(clock: Clock): Promise<void> {
  const log = { ...silentLog, error: (message: string, details?: object) => void lines.push({ message, ...details }) }
  troubles = new Troubles(systemClock, log)
  source = createWalSource({ database: db.database, clock, random: systemRandom, log, troubles })
  await source.start(() => undefined)
  await untilWriter(source)
}

const pool = () => db.database.pool
const addTask = () =>
  insert(pool(), 'tasks', { organization_id: world.organization, project_id: world.project, title: 'T' })

async function isLogged(id: unknown): Promise<boolean> {
  return (await pool().query('select from sync_changes where row_id = $1', [id])).rowCount === 1
}

test.for([
  ['there is no room for it', '53100', 'storage_full'],
  ['its writer may not', '42501', 'capture_unavailable'],
])('while %s, capture is in trouble and says why, until something has been logged', async ([, state, code]) => {
  await start(systemClock)
  await pool().query(
    `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused' using errcode = '${state}'; end $$`,
  )
  await pool().query('create trigger refuse before insert on sync_changes for each row execute function refuse()')
  const { id } = await addTask()
  await expect
    .poll(() => troubles.all, { timeout: 60_000, interval: 5 })
    .toMatchObject([
      { part: 'capture', code, message: expect.stringContaining('refused'), remedy: expect.stringMatching(/.../) },
    ])
  await expect
    .poll(() => lines, { timeout: 60_000 })
    .toContainEqual(
      expect.objectContaining({
        message: 'The stream of changes ended; opening it again',
        code,
        remedy: expect.any(String),
      }),
    )
  // It has been opened again, and is no better for that.
  const ends = lines.length
  await expect.poll(() => lines.length, { timeout: 60_000 }).toBeGreaterThan(ends + 1)
  expect(troubles.all).toMatchObject([{ part: 'capture', code }])
  await pool().query('drop trigger refuse on sync_changes')
  await expect.poll(() => isLogged(id), { timeout: 60_000 }).toBe(true)
  await expect.poll(() => troubles.all, { timeout: 60_000 }).toEqual([])
})

test('while somebody locks it, capture says who, and how to end it', async () => {
  await start(fast)
  const holder = new pg.Client({ connectionString: db.url })
  await holder.connect()
  await holder.query('begin')
  const { rows } = await holder.query<{ pid: number }>('select pg_backend_pid() as pid')
  await holder.query('lock table sync_changes in share mode')
  const { id } = await addTask()
  await expect
    .poll(() => troubles.all, { timeout: 60_000, interval: 5 })
    .toMatchObject([
      {
        part: 'capture',
        code: 'capture_unavailable',
        remedy: expect.stringContaining(`pg_terminate_backend(${rows[0]?.pid})`),
      },
    ])
  // Nobody is left waiting for it in the name of a writer that was given up.
  const writers = `select from pg_stat_activity where application_name = 'tidewire log writer' and datname = current_database()`
  await expect.poll(() => lines.length, { timeout: 60_000 }).toBeGreaterThan(2)
  await expect.poll(async () => (await pool().query(writers)).rowCount, { timeout: 60_000 }).toBeLessThan(2)
  await holder.query('rollback')
  await holder.end()
  await expect.poll(() => isLogged(id), { timeout: 60_000 }).toBe(true)
  await expect.poll(() => troubles.all, { timeout: 60_000 }).toEqual([])
})
