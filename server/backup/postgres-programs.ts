import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { TideError } from '../../protocol/error.ts'
import { toLibpq } from '../db/db.ts'
import { errorText } from '../telemetry/telemetry.ts'
import { failed } from './backup-error.ts'

/** Where pg_dump and pg_restore are, and what they are told of the world. */
export interface Programs {
  /** Folder; absent: those on the PATH. */
  readonly bin: string | undefined
  /** Of this process: PATH, HOME, … */
  readonly environment: Readonly<Record<string, string | undefined>>
}

type Program = 'pg_dump' | 'pg_restore'

/** Throws `program_missing` unless the program is there and not older than the server, which it would refuse. */
export async function requireProgram({ bin, environment }: Programs, name: Program, major: number): Promise<void> {
  const child = spawn(pathOf(bin, name), ['--version'], { env: environment, stdio: ['ignore', 'pipe', 'ignore'] })
  const [answer, problem] = await Promise.all([text(child.stdout), endOf(child)])
  const version = /\b(\d+)(?:\.\d+|devel|beta|rc)/.exec(answer)?.[1]
  const wanted = `${name} of PostgreSQL ${major} or later is needed`
  if (problem !== undefined || version === undefined)
    throw missing(`${wanted}, and ${pathOf(bin, name)} does not run${problem ? `: ${problem}` : ''}.`, major)
  if (Number(version) < major) throw missing(`${wanted}; ${pathOf(bin, name)} is of ${version}.`, major)
}

function missing(message: string, major: number): TideError {
  return new TideError('program_missing', message, {
    remedy: `Install the package postgresql-client-${major}, or set POSTGRES_BIN to the folder of its programs.`,
  })
}

function pathOf(bin: string | undefined, name: Program): string {
  return bin === undefined ? name : join(bin, name)
}

interface Running {
  readonly child: ChildProcess
  /** Resolves when it has ended well; rejects with `backup_failed` and what it said. */
  readonly ended: Promise<void>
}

function start(
  { bin, environment }: Programs,
  name: Program,
  given: {
    readonly url: string
    readonly database?: string
    readonly args: readonly string[]
    readonly signal?: AbortSignal
  },
): Running {
  const { url, password } = toLibpq(given.url, given.database)
  const child = spawn(pathOf(bin, name), [...given.args, `--dbname=${url}`], {
    env: { ...environment, ...(password === '' ? {} : { PGPASSWORD: password }) },
    stdio: [name === 'pg_restore' ? 'pipe' : 'ignore', name === 'pg_dump' ? 'pipe' : 'ignore', 'pipe'],
  })
  // A stop is asked of the program, so that it ends its connection; its own end is then what is waited for.
  const stop = (): void => void child.kill('SIGTERM')
  given.signal?.addEventListener('abort', stop, { once: true })
  const said = lastOf(child)
  const ended = endOf(child).then(async (problem) => {
    given.signal?.removeEventListener('abort', stop)
    given.signal?.throwIfAborted()
    if (problem === undefined) return
    const words = (await said).trim()
    throw failed(`${name} failed: ${words === '' ? problem : words}`)
  })
  // Whoever reads or writes its stream may hear of it first.
  ended.catch(() => undefined)
  return { child, ended }
}

const mostWords = 4000

/** The last of what it says on standard error. */
async function lastOf({ stderr }: ChildProcess): Promise<string> {
  let words = ''
  if (stderr) for await (const chunk of stderr) words = `${words}${String(chunk)}`.slice(-mostWords)
  return words
}

/** Undefined: it ended well. */
async function endOf(child: ChildProcess): Promise<string | undefined> {
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    return code === 0 ? undefined : `it ended with ${signal ?? `code ${code}`}`
  } catch (error) {
    return errorText(error)
  }
}

/** The database as pg_dump writes it, in the snapshot that another connection exports. */
export async function* dumpPostgres(
  programs: Programs,
  given: { readonly url: string; readonly snapshot: string; readonly signal?: AbortSignal },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { child, ended } = start(programs, 'pg_dump', {
    url: given.url,
    // What the server makes by itself, and what is compressed here, is left out.
    args: [
      '--format=custom',
      '--compress=0',
      '--no-publications',
      '--no-subscriptions',
      `--snapshot=${given.snapshot}`,
    ],
    ...(given.signal ? { signal: given.signal } : {}),
  })
  try {
    if (child.stdout) yield* child.stdout as AsyncIterable<Uint8Array>
    await ended
  } finally {
    child.kill('SIGTERM')
  }
}

/** Puts a dump into an empty database. */
export async function restorePostgres(
  programs: Programs,
  given: {
    readonly url: string
    readonly database: string
    readonly dump: AsyncIterable<Uint8Array>
    readonly signal?: AbortSignal
  },
): Promise<void> {
  const { child, ended } = start(programs, 'pg_restore', {
    url: given.url,
    database: given.database,
    args: ['--no-owner', '--no-acl', '--exit-on-error'],
    ...(given.signal ? { signal: given.signal } : {}),
  })
  const { stdin } = child
  // It ends early when it fails, and then says why on standard error.
  stdin?.on('error', () => undefined)
  try {
    for await (const bytes of given.dump) {
      if (!stdin || stdin.destroyed || child.exitCode !== null) break
      if (!stdin.write(bytes)) await Promise.race([once(stdin, 'drain').catch(() => undefined), ended])
    }
    stdin?.end()
    await ended
  } finally {
    child.kill('SIGTERM')
  }
}
