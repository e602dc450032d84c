/**
 * Measures what docs/performance.md promises, each figure beside the physical limit of the same run.
 *
 *   npm run bench -- [--list] [--only NAME…] [--quick] [--json FILE] [--profile FOLDER] [--capture wal|trigger]
 *
 * On the embedded database, or on Postgres when DATABASE_URL names one as a user who may create databases; `node
 * scripts/services.ts run -- npm run bench -- --services` takes the one that script starts. Every run makes a database
 * of its own and drops it.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { forgetLightClients } from './client/light-client.ts'
import { medianOfRuns } from './repeat.ts'
import { toJson, toTable, withRange, type Figure, type Report, type Result } from './report.ts'
import { killServers } from './stand/server.ts'
import { openStand, type Stand } from './stand/stand.ts'
import type { Bench, Workload } from './workload.ts'
import { workloads } from './workloads.ts'

const usualDeadlineMs = 240_000

interface Options {
  readonly databaseUrl: string | undefined
  readonly quick: boolean
  readonly json: string | undefined
  readonly profileDir: string | undefined
  readonly capture: string | undefined
  readonly chosen: readonly Workload[]
}

function readOptions(): Options | 'list' {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      list: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      quick: { type: 'boolean', default: false },
      services: { type: 'boolean', default: false },
      json: { type: 'string' },
      profile: { type: 'string' },
      capture: { type: 'string' },
    },
  })
  if (values.list) return 'list'
  const databaseUrl = process.env['DATABASE_URL'] ?? (values.services ? process.env['TEST_DATABASE_URL'] : undefined)
  // `--only a b` and `--only a --only b` both name two.
  const names = [...values.only, ...positionals]
  const unknown = names.filter((name) => !workloads.some((workload) => workload.name === name))
  if (unknown.length > 0) throw new Error(`No workload is called ${unknown.join(', ')}; --list names them all.`)
  if (values.services && databaseUrl === undefined)
    throw new Error(
      '--services needs a running Postgres: `node scripts/services.ts run -- npm run bench -- --services`.',
    )
  const chosen = workloads.filter(
    ({ name, needsPostgres }) =>
      (names.length === 0 || names.includes(name)) && (databaseUrl !== undefined || !needsPostgres),
  )
  return {
    databaseUrl,
    quick: values.quick,
    json: values.json,
    capture: values.capture,
    profileDir: values.profile && resolve(values.profile),
    chosen,
  }
}

async function main(): Promise<void> {
  const options = readOptions()
  if (options === 'list') {
    for (const { name, title, needsPostgres } of workloads)
      console.log(`${name.padEnd(18)} ${title}${needsPostgres ? ' (Postgres only)' : ''}`)
    return
  }
  const { quick, json, chosen } = options
  const progress = (line: string): void => console.error(line)
  await using stand = await openStand({ ...options, progress })
  const reportOf = (results: readonly Result[]): Report => ({
    at: new Date().toISOString().slice(0, 16).replace('T', ' '),
    command: `npm run bench${process.argv.slice(2).length > 0 ? ` -- ${process.argv.slice(2).join(' ')}` : ''}`,
    machine: `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.versions.node}`,
    database: stand.databaseName,
    commit: commit(),
    quick,
    results,
  })
  const results = await runAll(chosen, stand, progress, (soFar) => {
    if (json === undefined) return
    mkdirSync(dirname(resolve(json)), { recursive: true })
    writeFileSync(json, `${JSON.stringify(toJson(reportOf(soFar)), null, 2)}\n`)
  })
  console.log(toTable(reportOf(results)))
  if (results.some(({ error }) => error !== undefined)) process.exitCode = 1
}

/**
 * `onResult` hears all results so far after each workload, so that a run that is cut short leaves what it has measured.
 */
async function runAll(
  chosen: readonly Workload[],
  stand: Stand,
  progress: (line: string) => void,
  onResult: (soFar: readonly Result[]) => void,
): Promise<readonly Result[]> {
  const measured = new Map<string, Promise<number>>()
  const once: Bench['once'] = (name, measure) => {
    const known = measured.get(name) ?? measure()
    measured.set(name, known)
    return known
  }
  const results: Result[] = []
  for (const workload of chosen) {
    progress(workload.title)
    const result = await runOne(workload, { stand, progress, once })
    results.push(result)
    for (const figure of result.figures) progress(`  ${withRange(figure).padEnd(14)} ${figure.what}`)
    onResult(results)
  }
  return results
}

async function runOne(workload: Workload, bench: Bench): Promise<Result> {
  const start = performance.now()
  const seconds = (): number => Math.round((performance.now() - start) / 100) / 10
  try {
    const runs: (readonly Figure[])[] = []
    for (let run = 0; run < bench.stand.size(workload.runs ?? 1, 1); run++) {
      forgetLightClients()
      runs.push(await withDeadline(workload.run(bench), workload.deadlineMs ?? usualDeadlineMs))
    }
    return { workload: workload.name, figures: medianOfRuns(runs), seconds: seconds() }
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    bench.progress(`  failed: ${text}`)
    return {
      workload: workload.name,
      figures: [],
      seconds: seconds(),
      error: error instanceof Error ? error.message : text,
    }
  }
}

/** A workload that hangs has failed, and the next one shall run all the same. */
async function withDeadline<T>(running: Promise<T>, deadlineMs: number): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    late.reject(new Error(`It was not done within ${deadlineMs / 1000} s.`))
    killServers()
  }, deadlineMs)
  try {
    return await Promise.race([running, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return 'no commit'
  }
}

await main()
// What a workload that hung left open must not hold the process.
process.exit()
