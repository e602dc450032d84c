import { expect, test } from 'vitest'
import { healthy, metricsOfNobody, quietHub } from '../support/metrics.ts'

/** Name and labels → value, as Prometheus would read it. */
function samplesOf(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').filter((line) => line.startsWith('tidewire_'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]))
}

test('names carry their unit, counters end in _total, and each has a help text', async () => {
  const metrics = metricsOfNobody()
  const text = await metrics.text()
  const typeOf = new Map(
    [...text.matchAll(/^# TYPE (tidewire_\w+) (\w+)$/gm)].map(([, name = '', type]) => [name, type]),
  )
  expect(new Set(typeOf.keys())).toEqual(new Set(metrics.names))
  for (const name of metrics.names) {
    expect(name).toMatch(/^tidewire_[a-z]+(_[a-z]+)*$/)
    expect({ name, total: name.endsWith('_total') }).toEqual({ name, total: typeOf.get(name) === 'counter' })
    expect(name).not.toMatch(/_(ms|millis|milliseconds)$/)
    expect(text).toMatch(new RegExp(`# HELP ${name} \\S.+\\.`))
  }
})

test('a push is counted by outcome, and by code when it was rejected', async () => {
  const metrics = metricsOfNobody()
  metrics.pushed(12, [{ kind: 'applied' }, { kind: 'applied' }, { kind: 'rejected', error: { code: 'forbidden' } }])
  const samples = samplesOf(await metrics.text())
  expect(samples.get('tidewire_mutations_total{outcome="applied",code=""}')).toBe(2)
  expect(samples.get('tidewire_mutations_total{outcome="rejected",code="forbidden"}')).toBe(1)
  expect(samples.get('tidewire_push_mutations_sum')).toBe(3)
  expect(samples.get('tidewire_push_seconds_sum')).toBeCloseTo(0.012)
})

test('a connection refused before its welcome counts as an error too', async () => {
  const metrics = metricsOfNobody()
  metrics.count('refused', 'token_expired')
  metrics.count('error', 'forbidden')
  const samples = samplesOf(await metrics.text())
  expect(samples.get('tidewire_connections_refused_total{code="token_expired"}')).toBe(1)
  expect(samples.get('tidewire_errors_total{code="token_expired"}')).toBe(1)
  expect(samples.get('tidewire_connections_refused_total{code="forbidden"}')).toBeUndefined()
})

test('what another keeps count of is shown as it stands, however often it is asked for', async () => {
  let batches = 7
  const metrics = metricsOfNobody({ hub: () => ({ ...quietHub, batches }) })
  await metrics.text()
  batches = 9
  expect(samplesOf(await metrics.text()).get('tidewire_batches_total')).toBe(9)
})

test('with a slot the lag is told in bytes and seconds, without one it is 0 and the slot is left out', async () => {
  const slot = {
    name: 's',
    active: true,
    state: 'reserved',
    retainedBytes: 500,
    keepBytes: null,
    written: 900,
    captured: 700,
  }
  const wal = samplesOf(
    await metricsOfNobody({ readings: () => Promise.resolve({ ...healthy, slot, captureLagMs: 2500 }) }).text(),
  )
  expect(wal.get('tidewire_capture_lag_bytes')).toBe(200)
  expect(wal.get('tidewire_capture_lag_seconds')).toBe(2.5)
  expect(wal.get('tidewire_slot_retained_bytes')).toBe(500)
  const trigger = samplesOf(await metricsOfNobody().text())
  expect(trigger.get('tidewire_capture_lag_bytes')).toBe(0)
  expect(trigger.has('tidewire_slot_retained_bytes')).toBe(false)
})

test('while the database does not answer, nothing is said of what is in it', async () => {
  const dead = { ...healthy, databaseMs: null, database: null }
  const samples = samplesOf(await metricsOfNobody({ readings: () => Promise.resolve(dead) }).text())
  expect(samples.has('tidewire_log_head')).toBe(false)
  expect(samples.has('tidewire_database_answer_seconds')).toBe(false)
  expect(samples.get('tidewire_health_ok{part="database"}')).toBe(0)
})
