import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import type { Config } from '../config.ts'
import type { Database } from '../db/db.ts'
import { createServer, type TideServer } from '../tide-server.ts'
import { createLog } from '../telemetry/telemetry.ts'
import type { Job } from './command.ts'
import { exitCodes, type Console } from './console.ts'
import { findPrincipal } from './find-principal.ts'
import { openAuth } from './use-database.ts'

/** The printed token is for trying things out on this machine, so it lasts a working day. */
const tokenSeconds = 12 * 3600
/** The most that a stop takes, after the delay that is set. */
const closeLimitMs = 15_000
/** Of a start that is told to stop. */
const startLimitMs = 5000

/**
 * Runs the server until it is told to stop. A fresh embedded database gets the schema and the demo data. Returns the
 * exit code.
 */
export async function start({ config, console, application }: Job): Promise<number> {
  const stopped = stopSignal()
  const began = systemClock.monotonic()
  const server = createServer(config, {
    ...application,
    log: await createLog(config.logLevel, config.logFormat),
    onProgress: (text) => console.progress(text),
  })
  try {
    const starting = server
      .listen()
      .then(() => (config.database.kind === 'embedded' ? prepareDemo(config, server.database, console) : undefined))
    const signal = await Promise.race([stopped, starting.then(() => undefined)])
    if (signal !== undefined) {
      console.progress(`${signal}: stopping before the start has ended …`)
      await endStart(starting)
      return exitCodes.ok
    }
    const token = await starting
    const seconds = ((systemClock.monotonic() - began) / 1000).toFixed(1)
    console.answer(
      { url: server.url, ...(token === undefined ? {} : { token }) },
      welcome(server, config, token, seconds),
    )
    const reason = await Promise.race([stopped, server.failed])
    const { shutdownDelayMs: delay } = config
    const first = delay > 0 ? `serving on for ${delay / 1000} s while /ready says 503, then ` : ''
    console.progress(`${reason}: ${first}finishing what is in flight …`)
    return reason.startsWith('SIG') ? exitCodes.ok : exitCodes.failed
  } finally {
    await closeInTime(server, config.shutdownDelayMs)
  }
}

/** A first start takes long, and may be cut off anywhere, as by a crash: the next one takes up what this one began. */
async function endStart(starting: Promise<unknown>): Promise<void> {
  const cancel = systemClock.after(startLimitMs, () => {
    process.stderr.write('Stopped before the start had ended; the next start goes on from there.\n')
    process.exit(exitCodes.ok)
  })
  await starting.catch(() => undefined)
  cancel()
}

/** What was acknowledged is on disk already: a stop that takes too long ends the process without waiting further. */
async function closeInTime(server: TideServer, delayMs: number): Promise<void> {
  const cancel = systemClock.after(delayMs + closeLimitMs, () => {
    process.stderr.write(
      `Closing took longer than ${(delayMs + closeLimitMs) / 1000} s and was given up; acknowledged writes are safe.\n`,
    )
    process.exit(exitCodes.failed)
  })
  await server.close()
  cancel()
}

/** An organization is made only where there is none: whoever removed the demo does not get it back. */
async function prepareDemo(config: Config, database: Database, console: Console): Promise<string | undefined> {
  const { rowCount } = await database.pool.query('select 1 from organizations limit 1')
  if (rowCount === 0) {
    console.progress('Making demo data: organization demo with ada, ben, eve and agent scout')
    const { seedDemo } = await import('../demo/demo.ts')
    await seedDemo(database.pool, { clock: systemClock, random: systemRandom, dimension: config.embedding.dimension })
  }
  if (config.auth.kind === 'jwks') return undefined
  const ada = await findPrincipal(database.pool, { user: 'ada@example.com', org: 'demo' }).catch(() => undefined)
  return ada && (await openAuth(config, database)).issueToken(ada, tokenSeconds)
}

function welcome(server: TideServer, config: Config, token: string | undefined, seconds: string): string {
  const where = config.database.kind === 'embedded' ? `embedded database in ${config.database.dataDir}` : 'Postgres'
  const lines = ['', `Tidewire is ready on ${server.url} (${where}, ${seconds} s)`, '']
  if (token !== undefined) {
    lines.push(
      'Next, in another terminal, with a token of ada@example.com that is good for 12 hours:',
      '',
      `  export TIDEWIRE_TOKEN=${token}`,
    )
    if (server.url !== 'http://127.0.0.1:4600') lines.push(`  export TIDEWIRE_URL=${server.url}`)
    lines.push('  npx node examples/watch-tasks.ts', '')
  } else lines.push('Make a token with: npx tidewire token --user EMAIL', '')
  return lines.join('\n')
}

/** Resolves at the first SIGINT or SIGTERM; the second one ends the process at once. */
function stopSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  let asked = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (asked) process.exit(signal === 'SIGINT' ? 130 : 143)
      asked = true
      resolve(signal)
    })
  }
  return promise
}
