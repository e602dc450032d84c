import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Plan } from './plan.ts'

/** A plan that once failed. */
export interface Regression {
  /** What was wrong, and where it was mended. */
  readonly why: string
  /** What must happen in it, and how often at least; else it does not test what it was kept for any more. */
  readonly shows: Readonly<Record<string, number>>
  readonly plan: Plan
}

const folder = new URL('regressions/', import.meta.url)

export function regressions(): readonly (readonly [name: string, Regression])[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .toSorted()
    .map((name) => [name.replace('.json', ''), JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Regression])
}

/** Writes what can be committed as a regression, and answers where. */
export function save(regression: Regression): string {
  const place = join(tmpdir(), 'tidewire-simulation')
  mkdirSync(place, { recursive: true })
  const file = join(place, `seed-${regression.plan.seed}.json`)
  const { plan, ...rest } = regression
  const { steps, ...others } = plan
  const lines = steps.map((step) => `    ${JSON.stringify(step)}`).join(',\n')
  const head = JSON.stringify({ ...rest, plan: { ...others, steps: [] } }, null, 2)
  writeFileSync(file, `${head.replace('"steps": []', `"steps": [\n${lines}\n    ]`)}\n`)
  return file
}
