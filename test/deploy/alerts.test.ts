import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { assess } from '../../server/telemetry/health.ts'
import { healthy, metricsOfNobody } from '../support/metrics.ts'

const duration = z.string().regex(/^\d+[smh]$/)
const fileSchema = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Tidewire[A-Za-z]+$/),
          expr: z.string(),
          for: duration.optional(),
          labels: z.strictObject({ severity: z.enum(['page', 'ticket']) }),
          annotations: z.strictObject({ summary: z.string() }),
        }),
      ),
    }),
  ),
})
const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const { groups } = fileSchema.parse(parse(read('deploy/alerts.yml')))
const rules = groups.flatMap((group) => group.rules)

test('every metric of an alert is one that the server has, with the labels it has', async () => {
  const metrics = metricsOfNobody()
  metrics.count('error', 'internal')
  metrics.count('refused', 'token_invalid')
  metrics.pushed(1, [{ kind: 'rejected', error: { code: 'internal' } }])
  metrics.pushFailed('internal')
  const text = await metrics.text()
  for (const { alert, expr } of rules) {
    const used = [...expr.matchAll(/\b((?:tidewire|nodejs|process)_\w+)(?:\{(\w+)=)?/g)]
    if (alert !== 'TidewireDown') expect(used.length).toBeGreaterThan(0)
    for (const [, name = '', label] of used) {
      expect(text).toMatch(new RegExp(`^${name}[ {]`, 'm'))
      // `job` is given by Prometheus.
      if (label !== undefined && label !== 'job') expect(text).toMatch(new RegExp(`^${name}\\{[^}]*${label}="`, 'm'))
    }
  }
})

test('a counter whose first increase is alarmed on is there from the start', async () => {
  const samples = await metricsOfNobody().text()
  const counters = rules.flatMap(({ expr }) => [...expr.matchAll(/increase\((\w+)(?:\{([^}]*)\})?\[/g)])
  expect(counters.length).toBeGreaterThan(0)
  for (const [, name = '', label = ''] of counters)
    expect(samples).toMatch(new RegExp(`^${name}\\{[^}]*${label}[^}]*\\} 0$`, 'm'))
})

test('docs/operations.md says of every alert what to do', () => {
  const page = read('docs/operations.md')
  for (const { alert } of rules) expect(page).toContain(`| \`${alert}\` |`)
})

test('every metric that docs/operations.md says to alarm on has an alert', () => {
  const rows = read('docs/operations.md')
    .split('\n')
    .filter((line) => line.startsWith('| `tidewire_') && line.includes('alarm'))
  const names = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)/g)].map(([, name]) => name ?? ''))
  expect(names.length).toBeGreaterThan(0)
  for (const name of names) expect(rules.map(({ expr }) => expr).join('\n')).toMatch(new RegExp(`\\b${name}\\b`))
})

test('every part of the health has an alert', () => {
  const slot = {
    name: 's',
    active: true,
    state: 'reserved',
    retainedBytes: 0,
    keepBytes: null,
    written: 0,
    captured: 0,
  }
  const { checks } = assess({ ...healthy, slot, redis: { ok: true, detail: '' } })
  // These have a metric of their own, which is alarmed on before the part is not well.
  const otherwise: Readonly<Record<string, string>> = {
    canary: 'tidewire_canary_age_seconds',
    capture: 'tidewire_capture_lag_seconds',
    pool: 'tidewire_pool_waiting',
  }
  const all = rules.map(({ expr }) => expr)
  for (const { name } of checks)
    expect(
      all.filter((expr) => expr.includes(otherwise[name] ?? `tidewire_health_ok{part="${name}"} == 0`)),
    ).toHaveLength(1)
})
