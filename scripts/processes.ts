// Child processes of the tests' services: how they are started, awaited and ended.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

/** Starts a program that stays; its standard error can be read. */
export function launch(command: readonly string[]): ChildProcess {
  const [program = '', ...args] = command
  return spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' })
}

/** Waits until `answers` says so; the program's own words are in the error when it ends before, or after a minute. */
export async function untilAnswering(
  server: ChildProcess,
  name: string,
  answers: () => Promise<boolean>,
): Promise<void> {
  let said = ''
  server.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)))
  const deadline = performance.now() + 60_000
  while (performance.now() < deadline) {
    if (hasEnded(server)) break
    if (await answers()) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await stop(server, 'SIGKILL')
  throw new Error(`${name} did not start. Its last words: ${said.trim() || '(none)'}`)
}

/** Sends the signal and waits for the end; after 15 s, SIGKILL. */
export async function stop(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(server)) return
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()))
  server.kill(signal)
  const hard = setTimeout(() => server.kill('SIGKILL'), 15_000)
  await ended
  clearTimeout(hard)
}

function hasEnded(server: ChildProcess): boolean {
  return server.exitCode !== null || server.signalCode !== null
}

/** Runs a command to its end and returns its output; throws with what it said when it fails. */
export function run(command: readonly string[], options: { quiet?: boolean; env?: NodeJS.ProcessEnv } = {}): string {
  const [program = '', ...args] = command
  const result = spawnSync(program, args, {
    encoding: 'utf8',
    cwd: '/',
    env: options.env ?? process.env,
    stdio: ['ignore', options.quiet ? 'pipe' : 'inherit', options.quiet ? 'pipe' : 'inherit'],
  })
  if (result.status !== 0) {
    const why = result.error?.message ?? result.stderr ?? `exit code ${result.status}`
    throw new Error(`\`${program} ${args.join(' ')}\` failed: ${why}`)
  }
  return result.stdout ?? ''
}

/** A port of 127.0.0.1 that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('No free TCP port on 127.0.0.1.')
  return address.port
}

/** Where the first of these programs is found. */
export function onPath(programs: readonly string[]): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(':')
  return programs.flatMap((program) => folders.map((folder) => join(folder, program))).find((path) => existsSync(path))
}

export function isRoot(): boolean {
  return process.getuid?.() === 0
}
