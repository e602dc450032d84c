// Who may take the slot from its reader, and that the clock of Postgres has no say in it.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { SlotWatch } from '../../server/capture/wal/slot-watch.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { untilWriter } from '../support/log-writer.ts'
import { ManualClock } from '../support/manual-clock.ts'

/** On which a writer gives no sign of life by itself: the test gives them. */
const noBeats: Clock = {
  ...systemClock,
  after: (ms, run) => (ms === 1000 ? () => undefined : systemClock.after(ms, run)),
}

let db: TestDatabase
let writer: ChangeSource
let clock: ManualClock
let watch: SlotWatch

beforeEach(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  writer = createWalSource({ database: db.database, clock: noBeats, random: systemRandom, log: silentLog })
  await writer.start(() => undefined)
  await untilWriter(writer)
  clock = new ManualClock()
  watch = new SlotWatch({ pool: db.database.pool, clock, log: silentLog })
})
afterEach(async () => {
  await writer.stop()
  await db.close()
})

async function beat(ahead: string): Promise<void> {
  await db.database.pool.query('update sync_capture set heartbeat_at = clock_timestamp() + $1::interval', [ahead])
}

/** The process of Postgres that sends to whoever reads the slot; null: nobody does. */
async function reader(): Promise<number | null> {
  const { rows } = await db.database.pool.query<{ pid: number | null }>(
    'select active_pid as pid from pg_replication_slots where database = current_database()',
  )
  expect(rows).toHaveLength(1)
  return rows[0]?.pid ?? null
}

test.for([
  ['is set an hour ahead', '-1 hour'],
  ['is set an hour back', '1 hour'],
  ['goes right', '0'],
])(
  'while the clock of Postgres %s, a writer keeps the slot as long as it gives signs of life',
  async ([, ahead = '']) => {
    const first = await reader()
    expect(first).not.toBeNull()
    for (let second = 0; second < 5; second++) {
      await beat(ahead)
      for (const part of [400, 600]) {
        expect(await watch.mayBeTaken()).toBe(false)
        await clock.advance(part)
      }
    }
    expect(await reader()).toBe(first)
    await clock.advance(2000)
    expect(await watch.mayBeTaken()).toBe(true)
    // Nobody else is here to take it: the writer may have it again, on another connection.
    await expect.poll(reader, { timeout: 60_000 }).not.toBe(first)
  },
)

test('a writer in the middle of a transaction keeps the slot', async () => {
  const first = await reader()
  const client = await db.database.pool.connect()
  await client.query('begin')
  await client.query('select from sync_capture for update')
  expect(await watch.mayBeTaken()).toBe(false)
  for (let look = 0; look < 3; look++) {
    await clock.advance(3000)
    expect(await watch.mayBeTaken()).toBe(false)
  }
  await client.query('rollback')
  client.release()
  expect(await reader()).toBe(first)
})

test('a slot that nobody reads may be taken at once', async () => {
  await writer.stop()
  await expect.poll(() => watch.mayBeTaken(), { timeout: 60_000 }).toBe(true)
})
