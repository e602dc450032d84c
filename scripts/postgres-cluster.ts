// A throw-away PostgreSQL cluster of one's own, from the installation that `scripts/services.ts` found: for the
// services of a test run, and for tests that stop, kill, break or copy one.
import type { ChildProcess } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { freePort, isRoot, launch, run, stop, untilAnswering } from './processes.ts'

/** Where the programs are: in a bootstrapped system (run by chroot), or on this machine. */
export type Installation =
  | { readonly kind: 'bootstrapped'; readonly root: string }
  | { readonly kind: 'local'; readonly bin: string }

export type Settings = Readonly<Record<string, string | number>>

export interface Cluster extends AsyncDisposable {
  /** Administration URL, as superuser; the port stays the same from start to start. */
  readonly url: string
  readonly port: number
  /** The folder of its data, as this process sees it. */
  readonly data: string
  /**
   * Starts it again, with other settings if given. Waits until it takes connections; after a kill, that includes
   * recovery.
   */
  start(settings?: Settings): Promise<void>
  /**
   * `fast`: sessions are cut, a checkpoint is written. `immediate`: no checkpoint; the next start recovers from the
   * WAL.
   */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
  /** SIGKILL of the postmaster: its backends notice and die; shared memory and the pid file stay behind. */
  kill(): Promise<void>
  /** Runs one of PostgreSQL's programs (`pg_dump`, …) as the user of the cluster; answers its output. */
  program(name: string, ...args: readonly string[]): string
  /** A folder beside the data, owned by the cluster's user: `outside` for this process, `inside` for Postgres. */
  folder(name: string): { readonly outside: string; readonly inside: string }
  /** Copies the data of a stopped cluster; `restoreFrom` puts such a copy in the place of the data. */
  copyTo(name: string): void
  restoreFrom(name: string): void
}

const PREFIX = 'tidewire-pg-'
/** Of a cluster, and of its standbys, which must allow as much as it does. */
export const defaultSettings: Settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  wal_level: 'logical',
  max_wal_senders: 40,
  max_replication_slots: 40,
  max_connections: 200,
  max_prepared_transactions: 20,
  shared_buffers: '256MB',
  log_min_messages: 'fatal',
}

/** Makes a cluster, durable as a real one (fsync on) and with logical replication, and starts it. */
export async function createCluster(installation: Installation, settings: Settings = {}): Promise<Cluster> {
  const root = installation.kind === 'bootstrapped' ? installation.root : ''
  const bin = installation.kind === 'bootstrapped' ? '/usr/lib/postgresql/17/bin' : installation.bin
  const temporary = root ? join(root, 'tmp') : tmpdir()
  sweep(temporary)
  const home = mkdtempSync(join(temporary, PREFIX))
  const own = (path: string): void => {
    if (!isRoot()) return
    const { uid, gid } = postgresUser(root)
    chownSync(path, uid, gid)
  }
  own(home)
  chmodSync(home, 0o700)
  const inside = (path: string): string => path.slice(root.length)
  // The parent may be killed hard: the kernel then stops Postgres for us. (Set after the change of user, which clears
  // it.)
  const prefix = [
    ...(root ? ['chroot', root] : []),
    ...(isRoot() ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', '--pdeathsig=INT', '--'] : []),
  ]
  const program = (name: string, ...args: readonly string[]): string =>
    run([...prefix, join(bin, name), ...args], { quiet: true })
  const data = join(home, 'data')
  const port = await freePort()
  let process: ChildProcess | undefined
  let given = { ...defaultSettings, ...settings, port }

  const start = async (changed: Settings = {}): Promise<void> => {
    given = { ...given, ...changed, port }
    const flags = Object.entries(given).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const child = launch([...prefix, join(bin, 'postgres'), '-D', inside(data), ...flags])
    process = child
    await untilAnswering(child, `PostgreSQL on port ${port}`, () => answers(port))
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (process) await stop(process, signal)
  }

  try {
    const initdb = ['-D', inside(data), '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8']
    program('initdb', ...initdb, '--no-sync', '--no-instructions')
    await start()
  } catch (error) {
    rmSync(home, { recursive: true, force: true })
    throw error
  }
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    port,
    data,
    start,
    program,
    stop: (mode = 'fast') => end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT'),
    async kill() {
      await end('SIGKILL')
      // Its last backend holds the shared memory, and a start before it is gone is refused.
      const backends = (): boolean => run(['ps', '-eo', 'args'], { quiet: true }).includes(inside(data))
      while (backends()) await new Promise((resolve) => setTimeout(resolve, 20))
    },
    folder(name) {
      const outside = join(home, name)
      mkdirSync(outside, { recursive: true, mode: 0o700 })
      own(outside)
      return { outside, inside: inside(outside) }
    },
    copyTo: (name) => void run(['cp', '-a', data, join(home, name)], { quiet: true }),
    restoreFrom(name) {
      rmSync(data, { recursive: true, force: true })
      run(['cp', '-a', join(home, name), data], { quiet: true })
    },
    async [Symbol.asyncDispose]() {
      await end('SIGINT')
      rmSync(home, { recursive: true, force: true })
    },
  }
}

/**
 * Removes the data of clusters whose owner was killed: Postgres ended, so its pid file is gone, and not just being
 * made.
 */
function sweep(folder: string): void {
  const clusters = readdirSync(folder).filter((name) => name.startsWith(PREFIX))
  for (const path of clusters.map((name) => join(folder, name))) {
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    if (age > 3_600_000 && !existsSync(join(path, 'data/postmaster.pid')))
      rmSync(path, { recursive: true, force: true })
  }
}

/** True when it completes a start-up: the port alone is open before Postgres takes connections. */
async function answers(port: number): Promise<boolean> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' })
  return client.connect().then(
    () => client.end().then(() => true),
    () => false,
  )
}

/** User and group id of `postgres`, which in the bootstrapped system are not this machine's. */
function postgresUser(root: string): { readonly uid: number; readonly gid: number } {
  const line = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync(`${root}/etc/passwd`, 'utf8'))
  if (!line)
    throw new Error(`${root}/etc/passwd has no user postgres. Remove ${root || 'PostgreSQL'} and install again.`)
  return { uid: Number(line[1]), gid: Number(line[2]) }
}
