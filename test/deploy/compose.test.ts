import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig, settingNames } from '../../server/config.ts'
import { compose, secrets } from './compose-file.ts'
import { contextFiles } from './image-build.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('without a profile only the database and Redis start', () => {
  const { services } = compose()
  const plain = Object.entries(services).flatMap(([name, { profiles = [] }]) => (profiles.length === 0 ? [name] : []))
  expect(plain).toEqual(['postgres', 'redis'])
})

test('each image that is built has one builder, which the other services of the image wait for', () => {
  const services = Object.entries(compose().services)
  const builders = services.filter(([, { build }]) => build !== undefined)
  expect(builders.map(([name, { image }]) => [name, image])).toEqual([['migrate', 'tidewire']])
  for (const [builder, { image }] of builders)
    for (const [name, service] of services) {
      if (service.image !== image || name === builder) continue
      // Nobody looks for it in a registry: it is only here.
      expect(service.pull_policy).toBe('never')
      expect(Object.keys(service.depends_on ?? {})).toContain(builder)
    }
})

test('services, volumes and files that are named exist', () => {
  const { services, volumes } = compose()
  for (const { depends_on: needs = {}, volumes: mounts = [] } of Object.values(services)) {
    for (const name of Object.keys(needs)) expect(Object.keys(services)).toContain(name)
    for (const [from = ''] of mounts.map((mount) => mount.split(':'))) {
      if (from.startsWith('.')) expect(existsSync(join(root, from))).toBe(true)
      else expect(Object.keys(volumes)).toContain(from)
    }
  }
})

test('every container of the image has an init, writes to its volumes only, and may do no more than the server needs', () => {
  const { services } = compose()
  const ours = Object.entries(services).filter(([, { image }]) => image === 'tidewire')
  expect(ours.map(([name]) => name)).toEqual(['migrate', 'server1', 'server2'])
  for (const [name, service] of ours) {
    expect(service.init).toBe(true)
    if (name === 'migrate') continue
    const hardened = { read_only: true, tmpfs: ['/tmp'], cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] }
    expect(service).toMatchObject(hardened)
  }
})

test('every port is open on this machine only, unless somebody asks for more', () => {
  const ports = Object.values(compose().services).flatMap((service) => service.ports ?? [])
  expect(ports).toHaveLength(3)
  for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/)
  expect(compose({ ...secrets, TIDEWIRE_PORT: '4600' }).service('proxy').ports).toEqual(['4600:4600'])
})

test('the servers log in with the password that the database was made with, whatever characters it has, and without one nothing starts', () => {
  const { service } = compose()
  const { DATABASE_URL = '', PGPASSWORD } = service('server1').environment ?? {}
  const { POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB } = service('postgres').environment ?? {}
  expect(new URL(DATABASE_URL)).toMatchObject({
    username: POSTGRES_USER,
    password: '',
    hostname: 'postgres',
    pathname: `/${POSTGRES_DB}`,
  })
  expect([PGPASSWORD, POSTGRES_PASSWORD]).toEqual([secrets.POSTGRES_PASSWORD, secrets.POSTGRES_PASSWORD])
  expect(() => compose({ AUTH_SECRET: secrets.AUTH_SECRET })).toThrow('make .env first, with sh deploy/make-env.sh')
})

test('servers take the settings they are given, and refuse to start without a secret', () => {
  const settings = compose().service('server1').environment ?? {}
  expect(loadConfig(settings)).toMatchObject({
    database: { url: 'postgres://tidewire@postgres:5432/tidewire' },
    auth: { kind: 'secret', secret: secrets.AUTH_SECRET },
  })
  const unsigned = compose({ POSTGRES_PASSWORD: secrets.POSTGRES_PASSWORD }).service('server1').environment ?? {}
  expect(() => loadConfig(unsigned)).toThrow('AUTH_SECRET')
})

test('every setting of a server can be given, but for those of the machine it runs on', () => {
  const own = ['HOST', 'PORT', 'TIDEWIRE_DATA', 'TIDEWIRE_CACHE', 'POSTGRES_BIN']
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  // Read by the exporter itself, and by the driver.
  const others = [...readme.matchAll(/`(OTEL_\w+)`/g)].map(([, name = '']) => name)
  expect(others).toContain('OTEL_EXPORTER_OTLP_HEADERS')
  const expected = new Set([...settingNames, ...others, 'PGPASSWORD'].filter((name) => !own.includes(name)))
  expect(new Set(Object.keys(compose().service('server1').environment ?? {}))).toEqual(expected)
})

describe('deploy/make-env.sh', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tidewire-env-'))
    mkdirSync(join(folder, 'deploy'))
    copyFileSync(join(root, 'deploy/make-env.sh'), join(folder, 'deploy/make-env.sh'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const make = () => spawnSync('sh', [join(folder, 'deploy/make-env.sh')], { cwd: '/', encoding: 'utf8' })
  const read = (): string => readFileSync(join(folder, '.env'), 'utf8')
  const given = (): Record<string, string> =>
    Object.fromEntries([...read().matchAll(/^([A-Z_]+)=(\S+)$/gm)].map(([, name = '', value = '']) => [name, value]))

  test('makes what nothing starts without, for its owner alone, and other values each time', () => {
    expect(make().status).toBe(0)
    expect(statSync(join(folder, '.env')).mode & 0o777).toBe(0o600)
    const first = given()
    expect(first['POSTGRES_PASSWORD']).toMatch(/^[0-9a-f]{48}$/)
    const config = loadConfig(compose(first).service('server1').environment ?? {})
    expect(config).toMatchObject({ auth: { kind: 'secret', secret: first['AUTH_SECRET'] }, backupDir: '/backups' })
    rmSync(join(folder, '.env'))
    make()
    for (const [name, value] of Object.entries(first)) expect(given()[name]).not.toBe(value)
  })

  test('leaves one that is there as it is', () => {
    make()
    const before = read()
    const again = make()
    expect(again.status).toBe(1)
    expect(again.stderr).toContain('.env is there already')
    expect(read()).toBe(before)
  })

  test('makes nothing that git or an image would take', () => {
    expect(spawnSync('git', ['check-ignore', '-q', '.env'], { cwd: root }).status).toBe(0)
    writeFileSync(join(folder, '.dockerignore'), readFileSync(join(root, '.dockerignore')))
    make()
    expect(contextFiles(folder)).toEqual([])
  })
})

test('the image and npm start run the server with every flag and variable that the launcher would give it', () => {
  const [image = '', launcher = ''] = ['Dockerfile', 'server/cli/tidewire.js'].map((name) =>
    readFileSync(join(root, name), 'utf8'),
  )
  const flags = [...launcher.matchAll(/'(--[a-z-]+=[^']+)'/g)].map(([, flag]) => flag)
  expect(flags).toContain('--max-semi-space-size=16')
  const variables = [...launcher.matchAll(/\b([A-Z_]+): '(\d+)'/g)].map(([, name, value]) => `${name}=${value}`)
  expect(variables).toContain('MALLOC_TRIM_THRESHOLD_=131072')
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: { start: string } }
  for (const given of [...flags, ...variables]) expect(image).toContain(given)
  // npm gives the other flags by .npmrc.
  for (const given of ['--max-semi-space-size=16', ...variables]) expect(scripts.start).toContain(given)
})

test('backups are made where they can be encrypted, into a volume that every server and command has', () => {
  const keys = { ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 7).toString('base64')}` }
  expect(loadConfig(compose().service('server1').environment ?? {}).backupDir).toBeUndefined()
  for (const name of ['server1', 'server2', 'migrate']) {
    const service = compose({ ...secrets, ...keys }).service(name)
    expect(loadConfig(service.environment ?? {}).backupDir).toBe('/backups')
    expect(service.volumes).toEqual(['data:/data', 'backups:/backups'])
  }
})

test('the image has the programs of the Postgres that is started', () => {
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')
  const [, major = ''] = /postgresql-client-(\d+)/.exec(dockerfile) ?? []
  expect(compose().service('postgres').image).toBe(`pgvector/pgvector:pg${major}`)
  // A volume takes its owner from the folder in the image.
  expect(dockerfile).toContain('chown 1000:1000 /data /backups')
})

test('the proxy is given the servers, by the names that its configuration asks for', () => {
  const { service } = compose()
  const asked = [...readFileSync(join(root, 'deploy/haproxy.cfg'), 'utf8').matchAll(/"\$\{([A-Z_0-9]+)\}"/g)].map(
    ([, name]) => name,
  )
  const given = service('proxy').environment ?? {}
  expect(new Set(Object.keys(given))).toEqual(new Set(asked))
  for (const name of ['server1', 'server2']) {
    expect(Object.values(given)).toContain(`${name}:4600`)
    expect(service(name).depends_on).toMatchObject({ migrate: { condition: 'service_completed_successfully' } })
  }
})

test('Postgres can be captured from, and a slot that nobody reads does not fill its disk', () => {
  expect(compose().service('postgres').command).toEqual(
    expect.arrayContaining(['-cwal_level=logical', '-cmax_slot_wal_keep_size=8GB']),
  )
})

test('Postgres has connections for both servers, and as many again for jobs, commands and people', () => {
  const { service } = compose()
  const page = readFileSync(join(root, 'docs/operations.md'), 'utf8')
  const [, hub, watch, capture] =
    /\| connections to Postgres \|.*, (\d+) for the hub, (\d+) for health.*, (\d+) more and a walsender/.exec(page) ??
    []
  const { poolSize } = loadConfig(service('server1').environment ?? {}).database
  const ofOne = poolSize + Number(hub) + Number(watch) + Number(capture) + 1
  const [most] = (service('postgres').command ?? []).flatMap(
    (flag) => /^-cmax_connections=(\d+)$/.exec(flag)?.[1] ?? [],
  )
  expect(Number(most)).toBeGreaterThanOrEqual(2 * 2 * ofOne)
})

test('a container is given the time that its server takes to end', () => {
  const { stop_grace_period: grace = '', environment = {} } = compose().service('server1')
  // After the delay a server closes within 15 s.
  expect(Number.parseInt(grace, 10) * 1000).toBeGreaterThan(loadConfig(environment).shutdownDelayMs + 15_000)
})
