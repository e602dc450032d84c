import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { metricsOfNobody } from '../support/metrics.ts'

const target = z.object({ refId: z.string(), expr: z.string(), legendFormat: z.string() })
const panel = z.object({
  id: z.number(),
  type: z.enum(['row', 'stat', 'timeseries']),
  title: z.string().min(1),
  gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
  targets: z.array(target).optional(),
})
const dashboard = z.object({ uid: z.literal('tidewire'), panels: z.array(panel) })

const text = readFileSync(new URL('../../deploy/grafana/tidewire.json', import.meta.url), 'utf8')
const { panels } = dashboard.parse(JSON.parse(text))
const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))

/** What Prometheus gives to every metric, and what a histogram is read by. */
const given = new Set(['job', 'instance', 'le'])

test('every metric of the dashboard is one that the server has, with the labels it has', async () => {
  const metrics = metricsOfNobody()
  metrics.count('message', 'push')
  metrics.count('error', 'internal')
  metrics.count('refused', 'token_invalid')
  metrics.count('webhook', 'stored')
  metrics.count('delivery', 'delivered')
  metrics.count('gap', 'lost')
  metrics.count('foreign', 'prefix')
  metrics.pushed(1, [{ kind: 'rejected', error: { code: 'internal' } }])
  metrics.pushFailed('internal')
  const samples = await metrics.text()
  for (const expr of expressions) {
    const used = [...expr.matchAll(/\b((?:tidewire|nodejs|process)_\w+)\{([^}]*)\}/g)]
    expect({ expr, metrics: used.length }).not.toEqual({ expr, metrics: 0 })
    for (const [, name = '', selectors = ''] of used) {
      expect(samples).toMatch(new RegExp(`^(# TYPE )?${name}[ {]`, 'm'))
      for (const [, label = ''] of selectors.matchAll(/(\w+)=/g))
        if (!given.has(label)) expect(samples).toMatch(new RegExp(`^${name}\\{[^}]*${label}="`, 'm'))
    }
    for (const [, labels = ''] of expr.matchAll(/\bby \(([^)]*)\)/g))
      for (const label of labels.split(', '))
        if (!given.has(label)) expect(samples).toMatch(new RegExp(`^${used[0]?.[1]}\\{[^}]*${label}="`, 'm'))
  }
})

test('every metric of Tidewire that says how it goes is on it', () => {
  const shown = expressions.join(' ')
  // Named by nobody's question: sizes of pushes, limits and idle connections, and counts that others are read with.
  const left = new Set([
    'tidewire_bootstraps_total',
    'tidewire_pool_connections_idle',
    'tidewire_pool_connections_limit',
    'tidewire_push_mutations',
    'tidewire_server_info',
    'tidewire_subscriptions',
  ])
  const missing = metricsOfNobody().names.filter((name) => !left.has(name) && !shown.includes(name))
  expect(missing).toEqual([])
})

test('panels have ids of their own and do not lie on one another', () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  const taken = new Set<string>()
  for (const { title, gridPos } of panels)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect({ title, free: !taken.has(`${x} ${y}`) }).toEqual({ title, free: true })
        expect(x).toBeLessThan(24)
        taken.add(`${x} ${y}`)
      }
})
