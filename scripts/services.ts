// The services that tests need and npm cannot bring: PostgreSQL 17 with pgvector, Redis, Chromium, HAProxy.
//
//   node scripts/services.ts status             what is there, and where it comes from
//   node scripts/services.ts install brings what is missing (as root on Debian; the second time it does nothing) node
//   scripts/services.ts run [-- command…] starts Postgres, names it in the environment, and runs the command
//                                               (without one: prints the `export` lines and waits for Ctrl-C)
//
// Whatever the environment names is used as it is and never started: TEST_DATABASE_URL, CHROMIUM_PATH. Tests that stop,
// kill or break a Postgres or a Redis start their own, so they need one that is installed here. Debian 12 has only
// PostgreSQL 15, so 17 is bootstrapped from the next Debian release into a folder of the cache
// (${XDG_CACHE_HOME:-~/.cache}/tidewire), from the mirror that the machine's own apt uses, and runs there by chroot.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createCluster, type Installation } from './postgres-cluster.ts'
import { isRoot, onPath, run } from './processes.ts'

const RELEASE = 'trixie'
const CACHE = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'tidewire')
const ROOTFS = join(CACHE, 'postgres-17')

/** What to do about a missing service. */
export const INSTALL = '`npx node scripts/services.ts install` as root on Debian brings what is missing'

/** Where a service comes from: named by the environment, installed here and startable, or not there. */
export type Service =
  | { readonly kind: 'given'; readonly at: string }
  | { readonly kind: 'installed'; readonly at: string }
  | { readonly kind: 'missing'; readonly why: string }

/** What `npm test` has to work with. Of all but Postgres nothing is started here: `at` is the program's path. */
export type Services = {
  readonly postgres: Service
  readonly chromium: Service
  /** Only tests of several servers start it. */
  readonly redis: Service
  /** Only its own tests start it. */
  readonly haproxy: Service
}

/**
 * Which tests cannot run here, and why, beside those whose suffix says what they need. `isInstalled`: clusters of
 * Postgres can be made.
 */
export function leftOutTests({ postgres, redis, haproxy }: Services, isInstalled: boolean): readonly string[] {
  return [
    ...(postgres.kind === 'given' && !isInstalled
      ? ['tests that stop or break a Postgres (none is installed here, and that of TEST_DATABASE_URL is left alone)']
      : []),
    ...(redis.kind === 'missing' ? [`tests over Redis (${redis.why})`] : []),
    ...(haproxy.kind === 'missing' ? [`tests of the proxy (${haproxy.why})`] : []),
  ]
}

/** Running services and how to end them. A URL is absent when its service is missing. */
export type RunningServices = AsyncDisposable & { readonly postgresUrl?: string }

/** Looks for the services; starts and installs nothing. */
export function findServices(): Services {
  return { postgres: findPostgres(), redis: findRedis(), chromium: findChromium(), haproxy: findHaproxy() }
}

function findPostgres(): Service {
  const given = process.env['TEST_DATABASE_URL']
  if (given) return { kind: 'given', at: given }
  const installed = installedPostgres()
  if (installed) return { kind: 'installed', at: installed.kind === 'local' ? installed.bin : installed.root }
  return {
    kind: 'missing',
    why: 'no PostgreSQL with pgvector; TEST_DATABASE_URL may name one',
  }
}

/** What clusters can be made of, whatever server the environment names. */
export function installedPostgres(): Installation | undefined {
  if (isRoot() && existsSync(join(ROOTFS, 'ready'))) return { kind: 'bootstrapped', root: ROOTFS }
  const bin = localPostgres()
  return bin === undefined ? undefined : { kind: 'local', bin }
}

/**
 * Folder of pg_dump and pg_restore that fit the installed server, for programs that are told one (POSTGRES_BIN). Of a
 * bootstrapped system: scripts that run them there by chroot. Undefined: nothing is installed here.
 */
export function postgresPrograms(): string | undefined {
  const installation = installedPostgres()
  if (installation?.kind !== 'bootstrapped') return installation?.bin
  const folder = `${installation.root}.programs`
  mkdirSync(folder, { recursive: true })
  for (const name of ['pg_dump', 'pg_restore']) {
    const draft = join(folder, `.${name}.${process.pid}`)
    writeFileSync(draft, `#!/bin/sh\nexec chroot '${installation.root}' /usr/lib/postgresql/17/bin/${name} "$@"\n`, {
      mode: 0o755,
    })
    renameSync(draft, join(folder, name))
  }
  return folder
}

/**
 * A Debian-style PostgreSQL 16 or later on this machine that has pgvector, as the folder of its programs: 17 first,
 * which is what is promised.
 */
function localPostgres(): string | undefined {
  return ['17', '18', '16']
    .filter((version) => existsSync(`/usr/share/postgresql/${version}/extension/vector.control`))
    .map((version) => `/usr/lib/postgresql/${version}/bin`)
    .find((bin) => existsSync(join(bin, 'initdb')))
}

function findRedis(): Service {
  const at = installedRedis()
  return at ? { kind: 'installed', at } : { kind: 'missing', why: 'no redis-server' }
}

/** The program: tests start one of their own, to kill. */
export function installedRedis(): string | undefined {
  return onPath(['redis-server', 'valkey-server'])
}

function findHaproxy(): Service {
  // Debian puts it where only root's path leads.
  const at = onPath(['haproxy']) ?? ['/usr/sbin/haproxy'].find((path) => existsSync(path))
  return at ? { kind: 'installed', at } : { kind: 'missing', why: 'no haproxy' }
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
  const postgresUrl = services.postgres.kind === 'installed' ? await startPostgres(started) : given(services.postgres)
  const running = started.move()
  return {
    ...(postgresUrl === undefined ? {} : { postgresUrl }),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

function given(service: Service): string | undefined {
  return service.kind === 'given' ? service.at : undefined
}

async function startPostgres(started: AsyncDisposableStack): Promise<string | undefined> {
  const installation = installedPostgres()
  return installation && started.use(await createCluster(installation)).url
}

/** Brings what `findServices` misses. Every step can be repeated and interrupted. */
export function installServices(): void {
  const services = findServices()
  const packages = [
    ...(services.redis.kind === 'missing' ? ['redis-server'] : []),
    ...(services.chromium.kind === 'missing' ? ['chromium'] : []),
    ...(services.haproxy.kind === 'missing' ? ['haproxy'] : []),
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
  const env = services.postgresUrl ? { TEST_DATABASE_URL: services.postgresUrl } : {}
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
