// A slot is made while somebody's transaction is open: Postgres waits for it, and says nothing.
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { silentLog, Troubles } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let db: TestDatabase
let writing: pg.Client
let source: ChangeSource
let troubles: Troubles
const logged: unknown[] = []

/** On which five seconds are soon over. */
const fast: Clock = { ...systemClock, after: (ms, run) => systemClock.after(ms / 50, run) }

beforeEach(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  writing = new pg.Client({ connectionString: db.url })
  await writing.connect()
  logged.length = 0
  troubles = new Troubles(fast, {
    error: (message, details) => logged.push({ message, ...details }),
    info: (message, details) => logged.push({ message, ...details }),
  })
  source = createWalSource({ database: db.database, clock: fast, random: systemRandom, log: silentLog, troubles })
})
afterEach(async () => {
  await source.stop()
  await writing.end()
  await db.close()
})

async function openTransaction(): Promise<number> {
  await writing.query('begin')
  const { rows } = await writing.query<{ pid: number }>('select pg_backend_pid() as pid, pg_current_xact_id()')
  return rows[0]?.pid ?? 0
}

/** Other tests write on this Postgres too, so what is waited for may be theirs for a moment. */
async function toldOf(text: string): Promise<void> {
  await expect.poll(() => troubles.all[0]?.message ?? '', { timeout: 60_000, interval: 5 }).toContain(text)
}

test('the start says whose transaction it waits for and how to end it, and goes on when it has ended', async () => {
  const pid = await openTransaction()
  await source.start(() => undefined)
  await toldOf(`process ${pid}, in database ${new URL(db.url ?? '').pathname.slice(1)}`)
  expect(troubles.all).toMatchObject([
    { part: 'capture', code: 'capture_unavailable', remedy: expect.stringContaining(`pg_terminate_backend(${pid})`) },
  ])
  expect(logged).toContainEqual(expect.objectContaining({ message: 'Changes cannot be captured; trying again' }))
  await writing.query('commit')
  await expect.poll(() => source.role, { timeout: 60_000 }).toBe('writer')
  expect(troubles.all).toEqual([])
  expect(logged.at(-1)).toMatchObject({ message: 'Changes are captured again' })
  expect(await source.head()).toBeGreaterThanOrEqual(0)
  // Else it would not wait for the standbys of `synchronized_standby_slots`.
  const slots = 'select failover from pg_replication_slots where database = current_database()'
  expect((await db.database.pool.query(slots)).rows).toEqual([{ failover: true }])
})

test('a prepared transaction is named by its own name', async () => {
  await openTransaction()
  await writing.query(`prepare transaction 'left ''over'`)
  const started = source.start(() => undefined)
  await toldOf(`prepared transaction 'left ''over'`)
  expect(troubles.all[0]?.remedy).toContain(`ROLLBACK PREPARED 'left ''over';`)
  await writing.query(`rollback prepared 'left ''over'`)
  await started
  await expect.poll(() => source.role, { timeout: 60_000 }).toBe('writer')
})

test('a server that is stopped while it waits leaves nothing behind', async () => {
  await openTransaction()
  await source.start(() => undefined)
  await source.stop()
  await expect
    .poll(
      async () =>
        (
          await writing.query(
            `select from pg_stat_activity where application_name = 'tidewire capture setup' and datname = current_database()`,
          )
        ).rowCount,
      { timeout: 60_000 },
    )
    .toBe(0)
})
