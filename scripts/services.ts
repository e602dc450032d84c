// The services that tests need and npm cannot bring: PostgreSQL 17 with pgvector, Redis, Chromium.
//
//   node scripts/services.ts status             what is there, and where it comes from
//   node scripts/services.ts install            brings what is missing (as root on Debian; the second time it does nothing)
//   node scripts/services.ts run [-- command…]  starts Postgres and Redis, names them in the environment, and runs the command
//                                               (without one: prints the `export` lines and waits for Ctrl-C)
//
// Whatever the environment names is used as it is and never started: TEST_DATABASE_URL, TEST_REDIS_URL, CHROMIUM_PATH.
// Debian 12 has only PostgreSQL 15, so 17 is bootstrapped from the next Debian release into a folder of the cache
// (${XDG_CACHE_HOME:-~/.cache}/tidewire), from the mirror that the machine's own apt uses, and runs there by chroot.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'

const RELEASE = 'trixie'
const CACHE = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'tidewire')
const ROOTFS = join(CACHE, 'postgres-17')
const CLUSTER = 'tidewire-pg-'

/** What to do about a missing service. */
export const INSTALL = '`npx node scripts/services.ts install` as root on Debian brings what is missing'

/** Where a service comes from: named by the environment, installed here and startable, or not there. */
export type Service =
  | { readonly kind: 'given'; readonly at: string }
  | { readonly kind: 'installed'; readonly at: string }
  | { readonly kind: 'missing'; readonly why: string }

/** What `npm test` has to work with. Chromium is never started here: `at` is the program's path in both cases. */
export type Services = { readonly postgres: Service; readonly redis: Service; readonly chromium: Service }

/** Running services and how to end them. A URL is absent when its service is missing. */
export type RunningServices = AsyncDisposable & { readonly postgresUrl?: string; readonly redisUrl?: string }

/** Looks for the services; starts and installs nothing. */
export function findServices(): Services {
  return { postgres: findPostgres(), redis: findRedis(), chromium: findChromium() }
}

function findPostgres(): Service {
  const given = process.env['TEST_DATABASE_URL']
  if (given) return { kind: 'given', at: given }
  if (isRoot() && existsSync(join(ROOTFS, 'ready'))) return { kind: 'installed', at: ROOTFS }
  const local = localPostgres()
  if (local) return { kind: 'installed', at: local }
  return {
    kind: 'missing',
    why: 'no PostgreSQL with pgvector; TEST_DATABASE_URL may name one',
  }
}

/** A Debian-style PostgreSQL 16 or later on this machine that has pgvector, as the folder of its programs. */
function localPostgres(): string | undefined {
  return ['18', '17', '16']
    .filter((version) => existsSync(`/usr/share/postgresql/${version}/extension/vector.control`))
    .map((version) => `/usr/lib/postgresql/${version}/bin`)
    .find((bin) => existsSync(join(bin, 'initdb')))
}

function findRedis(): Service {
  const given = process.env['TEST_REDIS_URL']
  if (given) return { kind: 'given', at: given }
  const at = onPath(['redis-server', 'valkey-server'])
  return at ? { kind: 'installed', at } : { kind: 'missing', why: 'no redis-server; TEST_REDIS_URL may name one' }
}

function findChromium(): Service {
  const given = process.env['CHROMIUM_PATH']
  if (given) return { kind: 'given', at: given }
  const at = onPath(['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'])
  return at ? { kind: 'installed', at } : { kind: 'missing', why: 'no Chromium; CHROMIUM_PATH may name one' }
}

/** Starts what is installed and not given. Dispose the result to stop it and remove its data. */
export async function startServices(services: Services = findServices()): Promise<RunningServices> {
  await using started = new AsyncDisposableStack()
  const [postgresUrl, redisUrl] = await Promise.all([
    services.postgres.kind === 'installed' ? startPostgres(services.postgres.at, started) : given(services.postgres),
    services.redis.kind === 'installed' ? startRedis(services.redis.at, started) : given(services.redis),
  ])
  const running = started.move()
  return {
    ...(postgresUrl === undefined ? {} : { postgresUrl }),
    ...(redisUrl === undefined ? {} : { redisUrl }),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

function given(service: Service): string | undefined {
  return service.kind === 'given' ? service.at : undefined
}

/**
 * A throw-away cluster, durable as a real one (fsync on) and with logical replication. `at` is the folder of the
 * bootstrapped system, or of the programs of a PostgreSQL of this machine.
 */
async function startPostgres(at: string, started: AsyncDisposableStack): Promise<string> {
  const root = at === ROOTFS ? ROOTFS : ''
  const bin = root ? '/usr/lib/postgresql/17/bin' : at
  const temporary = root ? join(ROOTFS, 'tmp') : tmpdir()
  sweep(temporary)
  const home = mkdtempSync(join(temporary, CLUSTER))
  started.defer(() => rmSync(home, { recursive: true, force: true }))
  if (isRoot()) {
    const { uid, gid } = postgresUser(root)
    chownSync(home, uid, gid)
  }
  chmodSync(home, 0o700)
  // The parent may be killed hard: the kernel then stops Postgres for us. (Set after the change of user, which clears it.)
  const prefix = [
    ...(root ? ['chroot', root] : []),
    ...(isRoot() ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', '--pdeathsig=INT', '--'] : []),
  ]
  const data = join(root ? home.slice(root.length) : home, 'data')
  const initdb = [...prefix, join(bin, 'initdb'), '-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8']
  run([...initdb, '--locale=C.UTF-8', '--no-sync', '--no-instructions'], { quiet: true })
  const port = await freePort()
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    wal_level: 'logical',
    max_wal_senders: 40,
    max_replication_slots: 40,
    max_connections: 200,
    shared_buffers: '64MB',
    log_min_messages: 'fatal',
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = launch([...prefix, join(bin, 'postgres'), '-D', data, ...flags])
  started.defer(() => stop(server, 'SIGINT'))
  await listening(server, port, 'PostgreSQL')
  return `postgres://postgres@127.0.0.1:${port}/postgres`
}

/** Removes the data of clusters whose owner was killed: Postgres ended, so its pid file is gone, and not just being made. */
function sweep(folder: string): void {
  const clusters = readdirSync(folder).filter((name) => name.startsWith(CLUSTER))
  for (const path of clusters.map((name) => join(folder, name))) {
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    if (age > 3_600_000 && !existsSync(join(path, 'data/postmaster.pid')))
      rmSync(path, { recursive: true, force: true })
  }
}

async function startRedis(at: string, started: AsyncDisposableStack): Promise<string> {
  const port = await freePort()
  const guard = onPath(['setpriv']) ? ['setpriv', '--pdeathsig=TERM', '--'] : []
  const flags = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()]
  const server = launch([...guard, at, ...flags])
  started.defer(() => stop(server, 'SIGTERM'))
  await listening(server, port, 'Redis')
  return `redis://127.0.0.1:${port}`
}

function launch(command: readonly string[]): ChildProcess {
  const [program = '', ...args] = command
  return spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' })
}

/** Waits until the port answers as that server would; its own words are in the error when it ends before. */
async function listening(server: ChildProcess, port: number, name: string): Promise<void> {
  let said = ''
  server.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)))
  const answers = name === 'PostgreSQL' ? postgresAnswers : redisAnswers
  const deadline = performance.now() + 60_000
  while (performance.now() < deadline) {
    if (server.exitCode !== null || server.signalCode !== null) break
    if (await answers(port)) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await stop(server, 'SIGKILL')
  throw new Error(`${name} did not start on 127.0.0.1:${port}. Its last words: ${said.trim() || '(none)'}`)
}

/** True when it completes a start-up: the port alone is open before Postgres takes connections. */
async function postgresAnswers(port: number): Promise<boolean> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' })
  return client.connect().then(
    () => client.end().then(() => true),
    () => false,
  )
}

async function redisAnswers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.on('data', (data) => {
      resolve(data.toString().startsWith('+PONG'))
      socket.destroy()
    })
    socket.on('error', () => resolve(false))
  })
}

async function stop(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()))
  server.kill(signal)
  const hard = setTimeout(() => server.kill('SIGKILL'), 15_000)
  await ended
  clearTimeout(hard)
}

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('No free TCP port on 127.0.0.1.')
  return address.port
}

/** Brings what `findServices` misses. Every step can be repeated and interrupted. */
export function installServices(): void {
  const services = findServices()
  const packages = [
    ...(services.redis.kind === 'missing' ? ['redis-server'] : []),
    ...(services.chromium.kind === 'missing' ? ['chromium'] : []),
    ...(services.postgres.kind === 'missing' && !onPath(['debootstrap']) ? ['debootstrap'] : []),
  ]
  if (packages.length === 0 && services.postgres.kind !== 'missing') return
  if (!isRoot() || !onPath(['apt-get'])) {
    const missing = Object.values(services).flatMap((service) => (service.kind === 'missing' ? [service.why] : []))
    throw new Error(
      `Only root on Debian can install services, this is user ${process.getuid?.()}. ${missing.join('. ')}.`,
    )
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' } // runlevel 1: install, do not start
  run(['apt-get', 'update', '-q'], { env })
  if (packages.length > 0) run(['apt-get', 'install', '-q', '-y', '--no-install-recommends', ...packages], { env })
  if (services.postgres.kind === 'missing') bootstrapPostgres()
}

function bootstrapPostgres(): void {
  const partial = `${ROOTFS}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  const include = '--include=postgresql-17,postgresql-17-pgvector'
  run(['debootstrap', '--variant=minbase', include, RELEASE, partial, aptMirror()])
  rmSync(join(partial, 'var/cache/apt'), { recursive: true, force: true })
  mkdirSync(join(partial, 'dev/shm'), { recursive: true, mode: 0o1777 })
  rmSync(ROOTFS, { recursive: true, force: true })
  // The mark is written last and the folder renamed whole: what looks ready is ready.
  run(['touch', join(partial, 'ready')])
  renameSync(partial, ROOTFS)
}

/** The mirror this machine's apt takes its own release from. */
function aptMirror(): string {
  const codename = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
  const format = ['--format', '$(REPO_URI) $(RELEASE)', 'Created-By: Packages']
  const targets = run(['apt-get', 'indextargets', ...format], { quiet: true }).split('\n')
  const mirror = targets.map((line) => line.split(' ')).find(([, release]) => release === codename)?.[0]
  if (!mirror) throw new Error(`apt names no mirror for ${codename}. Run \`apt-get update\`, or set TEST_DATABASE_URL.`)
  return mirror
}

/** Runs a command to its end and returns its output; throws with what it said when it fails. */
function run(command: readonly string[], options: { quiet?: boolean; env?: NodeJS.ProcessEnv } = {}): string {
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

/** User and group id of `postgres`, which in the bootstrapped system are not this machine's. */
function postgresUser(root: string): { readonly uid: number; readonly gid: number } {
  const line = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync(`${root}/etc/passwd`, 'utf8'))
  if (!line)
    throw new Error(`${root}/etc/passwd has no user postgres. Remove ${root || 'PostgreSQL'} and install again.`)
  return { uid: Number(line[1]), gid: Number(line[2]) }
}

function onPath(programs: readonly string[]): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(':')
  return programs.flatMap((program) => folders.map((folder) => join(folder, program))).find((path) => existsSync(path))
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}

async function main([command, ...rest]: readonly string[]): Promise<number> {
  if (command === 'install') installServices()
  if (command === 'install' || command === 'status') {
    const found = Object.entries(findServices())
    for (const [name, service] of found) {
      console.log(`${name}: ${service.kind === 'missing' ? service.why : `${service.kind}, ${service.at}`}`)
    }
    return found.some(([, service]) => service.kind === 'missing') ? 1 : 0
  }
  if (command === 'run') return runWithServices(rest[0] === '--' ? rest.slice(1) : rest)
  console.error('Usage: node scripts/services.ts status | install | run [-- command…]')
  return 64
}

async function runWithServices(command: readonly string[]): Promise<number> {
  await using services = await startServices()
  const env = {
    ...(services.postgresUrl ? { TEST_DATABASE_URL: services.postgresUrl } : {}),
    ...(services.redisUrl ? { TEST_REDIS_URL: services.redisUrl } : {}),
  }
  const interrupted = new Promise<number>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(130))
  })
  const [program, ...args] = command
  if (!program) {
    for (const [name, value] of Object.entries(env)) console.log(`export ${name}='${value}'`)
    const alive = setInterval(() => undefined, 60_000)
    const code = await interrupted
    clearInterval(alive)
    return code
  }
  const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, ...env } })
  const ended = new Promise<number>((resolve, reject) => {
    child.on('exit', (code) => resolve(code ?? 1))
    child.on('error', reject)
  })
  return await Promise.race([ended, interrupted.then(() => ended)])
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
