import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { pause } from '../pause.ts'
import { heapFlags, ProcessMemory, probeOptions } from './process-memory.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cli = fileURLToPath(new URL('../../server/cli/tidewire.js', import.meta.url))
/**
 * With this condition the launcher stays in its process instead of handing over to a child: its pid is the server's.
 */
const condition = '--conditions=tidewire:source'
/** As the launcher gives them to that child. */
const flags = [condition, '--disable-warning=ExperimentalWarning', ...heapFlags]

/** None outlives the bench, however that ends. */
const children = new Set<ChildProcess>()
process.on('exit', killServers)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))

/** Ends all servers at once, for workloads that do not come to an end. */
export function killServers(): void {
  for (const child of children) child.kill('SIGKILL')
}

/** A Tidewire server in a process of its own. */
export interface Server extends AsyncDisposable {
  readonly url: string
  readonly pid: number
  readonly memory: ProcessMemory
  stop(): Promise<void>
}

export interface ServerOptions {
  readonly env: Readonly<Record<string, string>>
  /** Folder for a CPU profile, written when the server stops. */
  readonly profileDir?: string | undefined
}

/** Starts `tidewire start` and waits until it says that it is ready. */
export async function startServer({ env, profileDir }: ServerOptions): Promise<Server> {
  const port = await freePort()
  const probe = probeOptions()
  const profile = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`]
  const child = spawn(process.execPath, [...flags, ...probe.flags, ...profile, cli, 'start'], {
    cwd: root,
    env: { ...ownEnvironment(), ...env, ...probe.env, PORT: String(port), HOST: '127.0.0.1', LOG_LEVEL: 'error' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.add(child)
  child.once('exit', () => children.delete(child))
  const said = hear(child)
  const url = `http://127.0.0.1:${port}`
  await ready(child, url, said)
  const pid = child.pid ?? 0
  const memory = new ProcessMemory(pid, probe.env)
  const stop = (): Promise<void> => end(child)
  return { url, pid, memory, stop, [Symbol.asyncDispose]: stop }
}

/** Runs a `tidewire` command beside or without a server; its standard output. Throws what it said when it fails. */
export async function runCli(env: Readonly<Record<string, string>>, args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [...flags, cli, ...args], {
    cwd: root,
    env: { ...ownEnvironment(), ...env, LOG_LEVEL: 'error' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const out: string[] = []
  const error: string[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => error.push(chunk.toString()))
  const [code]: readonly unknown[] = await once(child, 'close')
  if (code !== 0)
    throw new Error(`tidewire ${args.join(' ')} ended with code ${String(code)}: ${error.join('')}${out.join('')}`)
  return out.join('').trim()
}

async function ready(child: ChildProcess, url: string, said: () => string): Promise<void> {
  for (let waited = 0; waited < 120_000; waited += 50) {
    if (child.exitCode !== null)
      throw new Error(`The server ended with code ${child.exitCode} before it was ready:\n${said()}`)
    if (await answers(url)) return
    await pause(50)
  }
  await end(child)
  throw new Error(`The server was not ready within 120 s:\n${said()}`)
}

async function answers(url: string): Promise<boolean> {
  const response = await fetch(`${url}/ready`).catch(() => undefined)
  await response?.arrayBuffer()
  return response?.ok === true
}

function hear(child: ChildProcess): () => string {
  let said = ''
  const take = (chunk: Buffer): void => {
    said = (said + chunk.toString()).slice(-8000)
  }
  child.stdout?.on('data', take)
  child.stderr?.on('data', take)
  return () => said.trim()
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const hard = setTimeout(() => child.kill('SIGKILL'), 30_000)
  await gone
  clearTimeout(hard)
}

/** Settings of the machine must not reach the server under test. */
function ownEnvironment(): Record<string, string> {
  const settings = /^(DATABASE_|TIDEWIRE_|REDIS_|AUTH_|EMBEDDING_|ENCRYPTION_|CAPTURE|PORT|HOST|LOG_LEVEL)/
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value !== undefined && !settings.test(name) ? [[name, value]] : [],
    ),
  )
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  if (address === null || typeof address === 'string') throw new Error('No free TCP port on 127.0.0.1.')
  return address.port
}
