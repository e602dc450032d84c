// What is missed while all looks well: by a slot whose maker died, or that somebody else made, and by a publication
// that lost a table.
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { startMaintenance } from '../../server/maintenance/maintenance.ts'
import { silentLog, Troubles } from '../../server/telemetry/telemetry.ts'
import { createWorld, insert, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { untilWriter } from '../support/log-writer.ts'
import { dropSlots, freeSlots } from '../support/postgres-admin.ts'

let db: TestDatabase
let world: World
let source: ChangeSource
const gaps: string[] = []

beforeEach(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  world = await createWorld(pool())
  gaps.length = 0
  await startWriting()
})
afterEach(async () => {
  await source.stop()
  await db.close()
})

const pool = () => db.database.pool

async function start(): Promise<void> {
  source = createWalSource({
    ...{ database: db.database, clock: systemClock, random: systemRandom, log: silentLog },
    onGap: (cause) => gaps.push(cause),
  })
  await source.start(() => undefined)
}

async function startWriting(): Promise<void> {
  await start()
  await untilWriter(source)
}

async function one<T>(text: string): Promise<T> {
  const { rows } = await pool().query<{ value: T }>(text)
  return rows[0]?.value as T
}

const epoch = () => one<string>('select epoch as value from sync_heads')
const slots = `pg_replication_slots where database = current_database()`
const addTask = () =>
  insert(pool(), 'tasks', { organization_id: world.organization, project_id: world.project, title: 'T' })
const isLogged = (id: string) =>
  one<boolean>(`select exists (select from sync_changes where row_id = '${id}') as value`)

test('a slot that was dropped and made again under the same name begins another epoch', async () => {
  await expect
    .poll(() => one(`select bool_or(captured_through > 0) as value from sync_capture`), { timeout: 60_000 })
    .toBe(true)
  const before = await epoch()
  await source.stop()
  const name = await one<string>(`select slot_name as value from ${slots}`)
  await dropSlots(pool())
  const { id } = await addTask()
  await pool().query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [name])
  await startWriting()
  await source.head()
  expect(await isLogged(id)).toBe(false)
  expect(gaps).toEqual(['lost'])
  expect(await epoch()).not.toBe(before)
})

test('a slot that was read before is known again, however the reader ended', async () => {
  const before = await epoch()
  for (let round = 0; round < 3; round++) {
    await expect
      .poll(() => one(`select bool_or(captured_through > 0) as value from sync_capture`), { timeout: 60_000 })
      .toBe(true)
    await freeSlots(pool())
    await source.stop()
    const { id } = await addTask()
    await startWriting()
    await expect.poll(() => isLogged(id), { timeout: 60_000 }).toBe(true)
  }
  expect(gaps).toEqual([])
  expect(await epoch()).toBe(before)
})

test('a slot is known again after a crash of Postgres that came before its place was written', async () => {
  const before = await epoch()
  await source.stop()
  await freeSlots(pool())
  await start()
  const { id } = await addTask()
  await expect.poll(() => isLogged(id), { timeout: 60_000 }).toBe(true)
  await source.stop()
  await freeSlots(pool())
  // A crash forgets what was read from a slot, and the slot may have moved on since the last beat.
  await pool().query(`select pg_stat_reset_replication_slot(slot_name) from ${slots}`)
  await pool().query('update sync_capture set captured_through = 1')
  await start()
  expect(gaps).toEqual([])
  expect(await epoch()).toBe(before)
})

test('whoever dies between making a slot and beginning an epoch leaves the gap to the next one', async () => {
  const before = await epoch()
  await source.stop()
  await dropSlots(pool())
  const { id } = await addTask()
  // In the way of what is done once the slot is there; a lock of this kind has no transaction id, which the slot would
  // wait for.
  const inTheWay = new pg.Client({ connectionString: db.url })
  await inTheWay.connect()
  await inTheWay.query('begin')
  await inTheWay.query('lock table sync_capture in share mode')
  const started = start().catch(() => undefined)
  await expect
    .poll(
      () =>
        one<number>(
          `select count(*)::integer as value from ${slots} and not active
             and exists (select from pg_stat_activity where application_name = 'tidewire capture setup' and wait_event_type = 'Lock'
               and datname = current_database())`,
        ),
      { timeout: 60_000, interval: 5 },
    )
    .toBe(1)
  await pool().query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tidewire capture setup' and datname = current_database()`,
  )
  await started
  await source.stop()
  await inTheWay.query('rollback')
  await inTheWay.end()
  expect(await epoch()).toBe(before)
  await startWriting()
  expect(await isLogged(id)).toBe(false)
  expect(gaps).toEqual(['lost'])
  expect(await epoch()).not.toBe(before)
})

test('a server that follows commits no sign of life while a table is not published, and says why', async () => {
  const before = await epoch()
  const options = { database: db.database, clock: systemClock, random: systemRandom, log: silentLog }
  const troubles = new Troubles(systemClock, silentLog)
  const follower = createWalSource({ ...options, troubles })
  await follower.start(() => undefined)
  expect(follower.role).toBe('follower')
  const [{ id }, name] = [await addTask(), await one<string>('select pubname as value from pg_publication')]
  await pool().query(`alter publication ${pg.escapeIdentifier(name)} drop table tasks`)
  await pool().query(`update tasks set title = 'Unseen' where id = $1`, [id])
  const inspected = async (): Promise<void> => {
    const done = Promise.withResolvers<void>()
    const maintenance = startMaintenance({
      ...options,
      catalog: loadCatalog(),
      archiveDir: '/nonexistent',
      troubles,
      inspectCapture: () => follower.inspect?.().finally(() => done.resolve()) ?? Promise.resolve(true),
      onCanary: () => undefined,
    })
    await done.promise
    await maintenance.stop()
  }
  const canaries = () => one<number>(`select count(*)::integer as value from sync_changes where channel = 'canary'`)
  await inspected()
  await source.head()
  expect(await canaries()).toBe(0)
  expect(troubles.all).toMatchObject([
    { part: 'capture', code: 'capture_unavailable', message: expect.stringContaining('tasks') },
  ])
  expect(await source.inspect?.()).toBe(false)
  await expect.poll(epoch, { timeout: 60_000 }).not.toBe(before)
  await expect.poll(() => follower.inspect?.(), { timeout: 60_000 }).toBe(true)
  expect(troubles.all).toEqual([])
  await inspected()
  await follower.head()
  expect(await canaries()).toBe(1)
  await follower.stop()
})
