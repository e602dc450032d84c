import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDeviceStandings, type DeviceStandings } from '../../server/auth/auth.ts'
import { readSystemHealth } from '../../server/maintenance/maintenance.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId, seedDevice, seedFixture, type Fixture } from '../support/fixtures.ts'

let db: TestDatabase
let it: Fixture
let now = Date.now()
const timers = new Set<{ readonly at: number; readonly run: () => void }>()
const clock = {
  now: () => now,
  monotonic: () => now,
  after(ms: number, run: () => void) {
    const timer = { at: now + ms, run }
    timers.add(timer)
    return () => void timers.delete(timer)
  },
}
let statements = 0
let running: Promise<unknown> = Promise.resolve()
let standings: DeviceStandings
let phone: DevicePrincipal

beforeAll(async () => {
  db = await createTestDatabase()
  it = await seedFixture(db.database.pool)
  phone = await seedDevice(db.database.pool, { organizationId: it.organizationId, kind: 'user', id: it.memberId })
  const pool = {
    query: (statement: never) => {
      statements++
      const answer = db.database.pool.query(statement)
      running = Promise.resolve(answer)
      return answer
    },
  }
  standings = createDeviceStandings({ pool: pool as never, clock, log: silentLog })
})
afterAll(async () => {
  standings.stop()
  await db.close()
})

async function pass(ms: number): Promise<void> {
  now += ms
  for (const timer of [...timers]) {
    if (timer.at > now) continue
    timers.delete(timer)
    timer.run()
  }
  await running
  // What was planned when the statement had ended.
  await new Promise((resolve) => setImmediate(resolve))
}

const query = async (text: string, values: readonly unknown[] = []) =>
  (await db.database.pool.query(text, [...values])).rows
const places = () =>
  query(
    `select channel, sync_status as status, bootstrapped_at is not null as here, pending_mutations as pending, open_conflicts as conflicts, filter
     from sync_subscriptions where device_id = $1 order by channel`,
    [phone.deviceId],
  )
const figures = () =>
  query('select sync_status as status, pending_mutations as pending from devices where id = $1', [phone.deviceId])

test('the database learns how far a device is, from one statement a second', async () => {
  let caughtUp = true
  const [own, project] = [`user/${it.memberId}`, `project/${it.projectId}`].toSorted()
  const standing = standings.open(phone, { given: 3, answered: 1, caughtUp: () => caughtUp })
  const follow = { embeddings: false, held: false } as const
  standing.subscribed({ id: 'a', channel: own ?? '', ...follow })
  standing.subscribed({ id: 'b', channel: project ?? '', ...follow, where: { tasks: { priority: 'high' } } })
  await pass(1000)
  expect(await places()).toMatchObject([
    { status: 'local', here: false, pending: 2 },
    { status: 'local', here: false, pending: 2 },
  ])
  standing.activated('a')
  standing.activated('b')
  standing.answered([
    { clientSeq: 2, kind: 'applied' },
    { clientSeq: 3, kind: 'applied' },
  ])
  standing.acknowledged()
  await pass(1000)
  const filter = own?.startsWith('project') ? {} : { tasks: { priority: 'high' } }
  expect(await places()).toMatchObject([
    { channel: own, status: 'synced', here: true, pending: 0 },
    { channel: project, status: 'synced', here: true, pending: 0, filter },
  ])
  expect(await figures()).toEqual([{ status: 'synced', pending: 0 }])
  expect(statements).toBe(2)

  // What goes as it should is not written again.
  for (let n = 0; n < 5; n++) {
    standing.acknowledged()
    await pass(1000)
  }
  expect(statements).toBe(2)

  // Late is what is not acknowledged for five seconds; a device that says nothing at all is found within a minute.
  caughtUp = false
  await pass(60_000)
  await pass(1000)
  await pass(6000)
  await pass(1000)
  expect(await figures()).toEqual([{ status: 'syncing', pending: 0 }])
  expect((await readSystemHealth(db.database.pool)).sync.oldest_unacknowledged_seconds).not.toBeNull()
  caughtUp = true
  standing.acknowledged()
  await pass(1000)
  expect((await readSystemHealth(db.database.pool)).sync.oldest_unacknowledged_seconds).toBeNull()

  const conflict = {
    id: newId(),
    organization_id: it.organizationId,
    channel: own,
    device_id: phone.deviceId,
    user_id: it.memberId,
    mutation_id: newId(),
    table_name: 'projects',
    row_id: it.projectId,
    kind: 'field',
  }
  await insertRow(db.database.pool, 'sync_conflicts', conflict)
  standing.answered([{ clientSeq: 4, kind: 'conflict' }])
  standing.unsubscribed('b')
  await pass(1000)
  const inOwn = await query('select channel from sync_conflicts where id = $1', [conflict.id])
  expect(await places()).toMatchObject([
    inOwn[0]?.['channel'] === own ? { channel: own, status: 'conflict', conflicts: 1 } : { channel: own },
  ])
})
