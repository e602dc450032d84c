// `npm run check`: everything that can be said of the code without running it. All steps run, whatever the first ones
// say; the summary at the end names each. `npm run check -- lint types` runs only these, `npm run check -- surface
// --update` accepts a changed public surface of the SDK.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

type Step = {
  readonly name: string
  readonly command: readonly string[]
  /** What makes it right again, where a command can. */
  readonly fix?: string
  /** A step whose result it reads: when that fails, this one fails unasked. */
  readonly after?: string
}

type Result = { readonly step: Step; readonly passed: boolean; readonly note: string }

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const chosen = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const update = process.argv.includes('--update') ? ['--update'] : []

const STEPS: readonly Step[] = [
  { name: 'format', command: ['oxfmt', '--check', '.'], fix: 'npx oxfmt' },
  { name: 'lint', command: ['oxlint', '--report-unused-disable-directives'], fix: 'npx oxlint --fix' },
  { name: 'types', command: ['tsc', '--noEmit', '-p', '.'] },
  { name: 'arrows', command: ['vitest', 'run', '--project', 'unit', 'test/architecture.test.ts'] },
  { name: 'dead code', command: ['knip'] },
  { name: 'build', command: ['npm', 'run', '--silent', 'build'] },
  { name: 'publint', command: ['publint', 'client-sdk', '--strict'], after: 'build' },
  { name: 'package types', command: ['attw', '--pack', 'client-sdk', '--profile', 'esm-only'], after: 'build' },
  {
    name: 'surface',
    command: ['node', 'scripts/api-surface.ts', ...update],
    fix: 'npm run check -- build surface --update, and look at the diff',
    after: 'build',
  },
  { name: 'size', command: ['size-limit'], after: 'build' },
]

const unknown = chosen.filter((name) => !STEPS.some((step) => step.name === name))
if (unknown.length > 0) {
  console.error(`No step ${unknown.join(', ')}. There are: ${STEPS.map((step) => step.name).join(', ')}.`)
  process.exit(64)
}

const results = STEPS.filter((step) => chosen.length === 0 || chosen.includes(step.name)).reduce<readonly Result[]>(
  (before, step) => [...before, runStep(step, before)],
  [],
)
console.log('')
for (const { step, passed, note } of results) {
  const remedy = passed || !step.fix ? '' : `  → ${step.fix}`
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${step.name.padEnd(14)} ${note}${remedy}`)
}
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1

/** Runs one step; its output is shown only when it fails. */
function runStep(step: Step, before: readonly Result[]): Result {
  const broken = before.find((result) => !result.passed && result.step.name === step.after)
  if (broken) return { step, passed: false, note: `not run: ${broken.step.name} failed` }
  const [program = '', ...args] = step.command
  const start = performance.now()
  const path = `${ROOT}node_modules/.bin:${process.env['PATH'] ?? ''}`
  const env = { ...process.env, PATH: path, ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' }) }
  const result = spawnSync(program, args, { cwd: ROOT, env, encoding: 'utf8', maxBuffer: 64 << 20 })
  const passed = result.status === 0
  if (!passed) {
    console.log(`\n── ${step.name}: ${step.command.join(' ')}`)
    console.log(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`.trimEnd())
  }
  return { step, passed, note: `${((performance.now() - start) / 1000).toFixed(1).padStart(5)} s` }
}
