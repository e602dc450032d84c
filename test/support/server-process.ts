import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { testCache } from './database.ts'
import { endWithUs } from './end-with-us.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cli = fileURLToPath(new URL('../../server/cli/tidewire.js', import.meta.url))

/** A line of the server's log: `level` 50 is an error, 30 says that something changed. */
export type LogLine = { readonly level: number; readonly msg: string } & Readonly<Record<string, unknown>>

/** A server in a process of its own, so that it can be killed like one. */
export interface ServerProcess {
  readonly url: string
  readonly env: Readonly<Record<string, string>>
  /** Of the process that runs now. */
  readonly pid: number
  /** Everything it has logged in all its runs. */
  readonly log: readonly LogLine[]
  /** The first line that fits, of those logged after the `since` first ones; waits for it. */
  logged(fits: (line: LogLine) => boolean, since?: number): Promise<LogLine>
  /** Another environment from the next `restart` on. */
  setEnv(more: Readonly<Record<string, string>>): void
  /** kill -9, and start again on the same folder and port. */
  crash(): Promise<void>
  restart(): Promise<void>
  /** To the process and its children: SIGSTOP lets it hang, SIGCONT wakes it up. */
  signal(name: NodeJS.Signals): void
  /** Runs a CLI command beside the running server; answers its standard output. Throws if it fails. */
  cli(...args: readonly string[]): Promise<string>
  stop(): Promise<void>
}

/** Starts `tidewire start` on an embedded database in `dir` with demo data, and waits until it is ready. */
export async function startServerProcess(
  dir: string,
  extraEnv: Readonly<Record<string, string>> = {},
): Promise<ServerProcess> {
  const port = await freePort()
  let env: Record<string, string> = {
    ...withoutSettings(process.env),
    TIDEWIRE_DATA: dir,
    TIDEWIRE_CACHE: testCache,
    PORT: String(port),
    HOST: '127.0.0.1',
    LOG_LEVEL: 'error',
    ...extraEnv,
  }
  const url = `http://127.0.0.1:${port}`
  const journal = new Journal()
  let child = await launch(env, url, journal)
  return {
    url,
    get env() {
      return env
    },
    get pid() {
      return child.pid ?? 0
    },
    log: journal.lines,
    logged: (fits, since) => journal.find(fits, since),
    setEnv(more) {
      env = { ...env, ...more }
    },
    async crash() {
      const gone = once(child, 'exit')
      signalTree(child, 'SIGKILL')
      await gone
    },
    async restart() {
      child = await launch(env, url, journal)
    },
    signal: (name) => signalTree(child, name),
    cli: (...args) => run(env, args),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      await gone
    },
  }
}

/** What came on standard error, line by line, and those who wait for a line. */
class Journal {
  readonly lines: LogLine[] = []
  readonly #waiters = new Set<() => void>()
  #rest = ''

  hear(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('{"level"')) this.lines.push(JSON.parse(line) as LogLine)
    for (const look of [...this.#waiters]) look()
  }

  async find(fits: (line: LogLine) => boolean, since = 0): Promise<LogLine> {
    const { promise, resolve } = Promise.withResolvers<LogLine>()
    const look = (): void => {
      const found = this.lines.slice(since).find(fits)
      if (found) resolve(found)
    }
    this.#waiters.add(look)
    look()
    return promise.finally(() => this.#waiters.delete(look))
  }
}

async function launch(env: Readonly<Record<string, string>>, url: string, journal: Journal): Promise<ChildProcess> {
  const child = spawn(process.execPath, [cli, 'start'], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  endWithUs(child, { group: true })
  const output: string[] = []
  const ready = Promise.withResolvers<void>()
  const hear = (chunk: Buffer): void => {
    output.push(chunk.toString())
    if (output.join('').includes(url)) ready.resolve()
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', (chunk: Buffer) => {
    journal.hear(chunk.toString())
    hear(chunk)
  })
  child.once('exit', (code) =>
    ready.reject(new Error(`The server ended with code ${code} before it was ready:\n${output.join('')}`)),
  )
  await ready.promise
  output.length = 0
  return child
}

async function run(env: Readonly<Record<string, string>>, args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [cli, ...args], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const out: string[] = []
  const err: string[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk.toString()))
  const [code] = await once(child, 'close')
  if (code !== 0)
    throw new Error(`tidewire ${args.join(' ')} ended with code ${String(code)}:\n${err.join('')}${out.join('')}`)
  return out.join('').trim()
}

/** The launcher may have a child of its own: the whole group is meant, and dies as in a power cut of the process. */
function signalTree(child: ChildProcess, name: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, name)
  } catch (error) {
    // It has ended by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Settings of the machine that runs the tests must not leak into the server under test. */
function withoutSettings(env: NodeJS.ProcessEnv): Record<string, string> {
  const own = /^(DATABASE_|TIDEWIRE_|REDIS_|AUTH_|EMBEDDING_|CAPTURE|PORT|HOST|ALLOWED_ORIGINS|LOG_LEVEL)/
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined && !own.test(entry[0])),
  )
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('No free port.')
  return address.port
}
