// One project per price of a test; the file's suffix names it (CONTRIBUTING.md, "Tests").
import { defaultServerConditions } from 'vite'
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'
import { findServices, INSTALL, installedPostgres, leftOutTests, type Service } from './scripts/services.ts'
import { onPostgresToo } from './test/support/on-postgres-too.ts'

const inCi = Boolean(process.env['CI'])
const services = findServices()

/**
 * The last part of a test's file name before `.test.ts`. `unit` has none; `both` is for those of `pglite` that run on
 * Postgres as well.
 */
type Suffix = 'unit' | 'property' | 'pglite' | 'pg' | 'both' | 'e2e' | 'browser'

type Price = {
  /** Projects of a higher group start when the lower ones are done, so that two cores are never asked for more. */
  readonly group: number
  readonly workers: number
  /** Milliseconds for one test, and for one hook: a PGlite boot takes 20 s on a loaded machine. */
  readonly test: number
  readonly hook: number
  /** What must be there. Missing at home: the project is left out, in one line. Missing in CI: the run fails. */
  readonly needs?: Service
  /** Starts what is shared by all files of the project. */
  readonly setup?: string
}

const PRICES: { readonly [name in Suffix]: Price } = {
  unit: { group: 0, workers: 2, test: 10_000, hook: 10_000 },
  property: { group: 0, workers: 2, test: 120_000, hook: 30_000 },
  pglite: { group: 1, workers: 2, test: 120_000, hook: 120_000 },
  pg: {
    group: 2,
    workers: 2,
    test: 180_000,
    hook: 180_000,
    needs: services.postgres,
    setup: './test/support/services-setup.ts',
  },
  both: {
    group: 3,
    workers: 2,
    test: 180_000,
    hook: 180_000,
    needs: services.postgres,
    setup: './test/support/services-setup.ts',
  },
  e2e: { group: 4, workers: 2, test: 120_000, hook: 120_000 },
  browser: { group: 5, workers: 1, test: 180_000, hook: 180_000, needs: services.chromium },
}

const suffixes = Object.keys(PRICES) as Suffix[]

function project(name: Suffix): TestProjectInlineConfiguration {
  const price = PRICES[name]
  const others = suffixes.filter((other) => other !== 'unit').map((other) => `test/**/*.${other}.test.ts`)
  return {
    extends: true,
    test: {
      name,
      include:
        name === 'both' ? [...onPostgresToo] : [name === 'unit' ? 'test/**/*.test.ts' : `test/**/*.${name}.test.ts`],
      env: name === 'both' ? { TEST_DATABASE: 'postgres' } : {},
      exclude: name === 'unit' ? others : [],
      pool: 'forks',
      maxWorkers: price.workers,
      sequence: { groupOrder: price.group },
      testTimeout: price.test,
      hookTimeout: price.hook,
      // Its own limit of a second says how fast the machine is.
      expect: { poll: { timeout: price.test / 2 } },
      globalSetup: price.setup ? [price.setup] : [],
    },
  }
}

/** Why a project cannot run here, or nothing. */
function missing(name: Suffix): string | undefined {
  const { needs } = PRICES[name]
  return needs?.kind === 'missing' ? needs.why : undefined
}

const missingHere = suffixes.filter((name) => missing(name) !== undefined)
const reasons = [
  ...missingHere.map((name) => `*.${name}.test.ts (${missing(name)})`),
  ...leftOutTests(services, installedPostgres() !== undefined),
]
const leftOut = `${reasons.join(', ')}: ${INSTALL}`
if (reasons.length > 0 && inCi) throw new Error(`In CI nothing is left out, but these cannot run: ${leftOut}.`)
if (reasons.length > 0) process.stderr.write(`Left out: ${leftOut}.\n`)

export default defineConfig({
  resolve: { conditions: ['tidewire:source', ...defaultServerConditions] },
  ssr: { resolve: { conditions: ['tidewire:source', ...defaultServerConditions] } },
  test: {
    projects: suffixes.filter((name) => !missingHere.includes(name)).map(project),
    allowOnly: !inCi,
    maxWorkers: 2,
    teardownTimeout: 30_000,
  },
})
