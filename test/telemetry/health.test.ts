import { expect, test } from 'vitest'
import { assess, formatBytes, watchHealth, type HealthCheck, type Readings } from '../../server/telemetry/health.ts'
import { LagClock } from '../../server/telemetry/lag-clock.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { healthy } from '../support/metrics.ts'

const slot = {
  name: 'tidewire_app',
  active: true,
  state: 'reserved',
  retainedBytes: 1000,
  keepBytes: 8000,
  written: 5000,
  captured: 5000,
}

function check(name: HealthCheck['name'], readings: Partial<Readings>): HealthCheck {
  const found = assess({ ...healthy, ...readings }).checks.find((one) => one.name === name)
  if (!found) throw new Error(`There is no check ${name}.`)
  return found
}

test('a healthy server is ready, and every part says what was measured and how much is well', () => {
  const { ready, checks } = assess({ ...healthy, slot, captureLagMs: 0, redis: { ok: true, detail: 'connected' } })
  expect(ready).toBe(true)
  expect(checks.map(({ name }) => name)).toEqual([
    'database',
    'canary',
    'capture',
    'slot',
    'redis',
    'retention',
    'pool',
    'upkeep',
  ])
  expect(checks.filter(({ ok }) => !ok)).toEqual([])
})

test('a database that does not answer, or a canary that does not come, makes the server not ready', () => {
  expect(assess({ ...healthy, databaseMs: null, database: null }).ready).toBe(false)
  expect(assess({ ...healthy, canaryAgeMs: 30_001 }).ready).toBe(false)
  expect(assess({ ...healthy, canaryAgeMs: null, uptimeMs: 30_001 }).ready).toBe(false)
  expect(assess({ ...healthy, canaryAgeMs: null, uptimeMs: 5000 }).ready).toBe(true)
})

test('what another server would suffer from as well is marked, and the server stays ready', () => {
  const readings = { ...healthy, slot: { ...slot, retainedBytes: 4001 }, captureLagMs: 60_000, poolWaiting: 31 }
  const { ready, checks } = assess({ ...readings, redis: { ok: false, detail: 'no connection' } })
  expect(ready).toBe(true)
  expect(checks.filter(({ ok }) => !ok).map(({ name }) => name)).toEqual(['capture', 'slot', 'redis', 'pool'])
})

test('the slot is well up to half of what Postgres keeps, while a server reads it', () => {
  expect(check('slot', { slot })).toMatchObject({ ok: true, value: 1000, limit: 4000 })
  expect(check('slot', { slot: { ...slot, keepBytes: null } })).toMatchObject({ ok: true, limit: 8 * 1024 ** 3 })
  expect(check('slot', { slot: { ...slot, active: false } })).toMatchObject({ ok: false })
  expect(check('slot', { slot: { ...slot, state: 'lost' } })).toMatchObject({ ok: false })
  const oldest = { by: 'process 12', seconds: 40 }
  expect(check('slot', { slot: { ...slot, oldest } }).detail).not.toContain('process')
  expect(check('slot', { slot: { ...slot, oldest, retainedBytes: 4001 } })).toMatchObject({
    ok: false,
    detail: expect.stringContaining('process 12 began to write 40 s ago'),
  })
  expect(check('slot', { slot: { ...slot, state: null } })).toMatchObject({ ok: false, value: null })
})

test('a log older than its retention says that nobody prunes it', () => {
  const old = { head: 1, oldestSeconds: 16 * 86_400, keepSeconds: 14 * 86_400, openConflicts: 0 }
  expect(check('retention', { database: old })).toMatchObject({ ok: false, value: 16 * 86_400, limit: 15 * 86_400 })
  expect(check('retention', { database: { ...old, keepSeconds: 90 * 86_400 } })).toMatchObject({ ok: true })
  expect(check('retention', { database: { ...old, keepSeconds: null } })).toMatchObject({ ok: true, limit: null })
})

test('lag is 0 again after the database went back to before what was written', () => {
  const lag = new LagClock()
  expect(lag.look(0, 500, 400)).toBe(0)
  expect(lag.look(5000, 100, 100)).toBe(0)
  expect(lag.look(10_000, 200, 100)).toBe(0)
  expect(lag.look(15_000, 200, 100)).toBe(5000)
})

test('lag is since the oldest look at which what has not arrived was written already', () => {
  const lag = new LagClock()
  expect(lag.look(0, 100, 100)).toBe(0)
  expect(lag.look(5000, 200, 100)).toBe(0)
  expect(lag.look(10_000, 300, 100)).toBe(5000)
  expect(lag.look(15_000, 300, 250)).toBe(5000)
  expect(lag.look(20_000, 300, 300)).toBe(0)
})

test('lag that lasts for days is told about right, from a bounded number of looks', () => {
  const lag = new LagClock(16)
  let told = 0
  for (let at = 0; at <= 1_000_000; at += 5000) told = lag.look(at, at + 1, 0)
  expect(told).toBeGreaterThan(900_000)
})

test('a database that never answers is told of after its deadline', async () => {
  const clock = new ManualClock()
  const health = watchHealth({
    clock,
    query: () => new Promise(() => undefined),
    canaryAgeMs: () => 100,
    pool: { waiting: () => 0, size: 10 },
    neglected: () => Promise.resolve([]),
  })
  const readings = health.read()
  await clock.advance(2200)
  expect(assess(await readings)).toMatchObject({ ready: false })
  health.stop()
})

test('those who ask within a second share one measurement', async () => {
  const clock = new ManualClock()
  let asked = 0
  const health = watchHealth({
    clock,
    query: <R extends object>() => {
      asked++
      return Promise.resolve([{ head: 1, oldestSeconds: 1, keepSeconds: 1, openConflicts: 0 } as unknown as R])
    },
    canaryAgeMs: () => 100,
    pool: { waiting: () => 0, size: 10 },
    neglected: () => Promise.resolve([]),
  })
  await Promise.all([health.read(), health.read(), health.read()])
  expect(asked).toBe(1)
  await clock.advance(1001)
  await health.read()
  expect(asked).toBe(2)
  health.stop()
})

test('what is neglected is asked for later and seldom, marked, and leaves the server ready', async () => {
  expect(check('upkeep', { neglected: null })).toMatchObject({ ok: true, value: null })
  const clock = new ManualClock()
  const answers = [['backup (too long ago)'], []]
  const health = watchHealth({
    clock,
    query: <R extends object>() => Promise.resolve([healthy.database as unknown as R]),
    canaryAgeMs: () => 100,
    pool: { waiting: () => 0, size: 10 },
    neglected: () => Promise.resolve(answers.shift() ?? []),
  })
  await clock.advance(40_000)
  const { ready, checks } = assess(await health.read())
  expect(ready).toBe(true)
  expect(checks.find(({ name }) => name === 'upkeep')).toMatchObject({
    ok: false,
    value: 1,
    detail: 'backup (too long ago): see `npx tidewire health`',
  })
  await clock.advance(6 * 60_000)
  expect(assess(await health.read()).checks.every(({ ok }) => ok)).toBe(true)
  health.stop()
})

test('bytes are written as people read them', () => {
  expect([0, 1023, 1024, 1_572_864, 8 * 1024 ** 3].map(formatBytes)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 MiB',
    '8.0 GiB',
  ])
})
