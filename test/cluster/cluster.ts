// Several servers in processes of their own on one database of a Postgres of this test file's own, so that anything may
// be killed.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Client } from '@tidewire/client'
import pg from 'pg'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { findServices, startServices } from '../../scripts/services.ts'
import { seedDemo } from '../../server/demo/demo.ts'
import { administer, dropDatabase } from '../support/postgres-admin.ts'
import { startServerProcess, type ServerProcess } from '../support/server-process.ts'
import { inTurns, startCable, startProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import type { RedisProcess } from './redis-process.ts'

/** Whether this machine can run a cluster; one with Redis needs `hasRedis` as well. */
export const canRun = findServices().postgres.kind !== 'missing'

export interface ClusterOptions {
  readonly servers: number
  readonly capture: 'wal' | 'trigger'
  /** Settings of every server beside those. */
  readonly env?: Readonly<Record<string, string>>
  /** A Redis to join them by, each with a cable of its own. */
  readonly redis?: RedisProcess
  /** A Postgres of the test's own, to be killed; without it, one is started for the cluster. */
  readonly postgresUrl?: string
}

export interface Cluster {
  readonly servers: readonly ServerProcess[]
  /** Of the load balancer before them. */
  readonly url: string
  /** The load balancer's health check has found a server unfit, or fit again. */
  takeOut(server: ServerProcess): void
  /** SIGTERM, its end, and its start; the load balancer sends nobody to it meanwhile. */
  restart(server: ServerProcess): Promise<void>
  bringBack(server: ServerProcess): void
  /** What a server reaches Postgres by, to be cut. */
  cableOf(server: ServerProcess): TcpProxy
  /** What it reaches Redis by. */
  redisCableOf(server: ServerProcess): TcpProxy
  readonly databaseUrl: string
  readonly pool: pg.Pool
  readonly projectId: string
  tokenOf(email: string): Promise<string>
  /** Who loaded a second time; `close` throws when there is anybody. */
  readonly loadedAgain: readonly string[]
  /**
   * A device with a replica in memory that follows the tasks of the demo project, on a server or behind a load
   * balancer: without any, behind that of the cluster. That it loads them a second time is an error, told by `close`.
   */
  follow(
    name: string,
    options?: { readonly server?: Pick<ServerProcess, 'url'>; readonly email?: string },
  ): Promise<Client>
  close(): Promise<void>
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { servers: count, capture, env = {}, postgresUrl, redis } = options
  const services = await startServices({
    ...findServices(),
    ...(postgresUrl === undefined ? {} : { postgres: { kind: 'missing', why: 'the test has its own' } as const }),
  })
  const home = await mkdtemp(join(tmpdir(), 'tidewire-cluster-'))
  const name = `cluster_${randomBytes(6).toString('hex')}`
  const administration = postgresUrl ?? services.postgresUrl ?? ''
  await administer(administration, `create database ${name}`)
  const databaseUrl = Object.assign(new URL(administration), { pathname: `/${name}` }).href
  const each = <T>(make: () => Promise<T>): Promise<readonly T[]> => Promise.all(Array.from({ length: count }, make))
  const cables = await each(() => startCable(databaseUrl))
  const redisCables = redis ? await each(() => startProxy(() => [redis.port])) : []
  const settings = {
    DATABASE_POOL_SIZE: '8',
    DATABASE_MAX_OVERFLOW: '0',
    AUTH_SECRET: randomBytes(32).toString('hex'),
    CAPTURE: capture,
    LOG_LEVEL: 'info',
    ...env,
  }
  const start = (index: number): Promise<ServerProcess> =>
    startServerProcess(join(home, String(index)), {
      ...settings,
      DATABASE_URL: cables[index]?.url ?? '',
      ...(redis ? { REDIS_URL: `redis://127.0.0.1:${redisCables[index]?.port}` } : {}),
    })
  const first = await start(0)
  const servers = [first, ...(await Promise.all(Array.from({ length: count - 1 }, (_, index) => start(index + 1))))]
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 })
  pool.on('error', () => undefined)
  await seedDemo(pool, { clock: systemClock, random: systemRandom, dimension: 384 })
  const { rows } = await pool.query<{ id: string }>(`select id from projects where slug = 'demo'`)
  const tokens = new Map<string, Promise<string>>()
  const tokenOf = (email: string): Promise<string> => {
    const token = tokens.get(email) ?? first.cli('token', '--user', email)
    tokens.set(email, token)
    return token
  }
  const out = new Set<number>()
  const balancer = await startProxy(inTurns(servers.map(portOf), out))
  const url = `http://127.0.0.1:${balancer.port}`
  const projectId = rows[0]?.id ?? ''
  const clients: Client[] = []
  const loadedAgain: string[] = []
  const cableIn = (those: readonly TcpProxy[], server: ServerProcess): TcpProxy => {
    const cable = those[servers.indexOf(server)]
    if (!cable) throw new Error('This cluster has no such server, or the server has no such cable.')
    return cable
  }
  return {
    servers,
    url,
    takeOut(server) {
      out.add(portOf(server))
      balancer.cut(portOf(server))
    },
    async restart(server) {
      out.add(portOf(server))
      await server.stop()
      await server.restart()
      out.delete(portOf(server))
    },
    bringBack: (server) => void out.delete(portOf(server)),
    cableOf: (server) => cableIn(cables, server),
    redisCableOf: (server) => cableIn(redisCables, server),
    loadedAgain,
    databaseUrl,
    pool,
    projectId,
    tokenOf,
    async follow(name, { server, email = 'ada@example.com' } = {}) {
      const client = await connect({
        url: server?.url ?? url,
        token: await tokenOf(email),
        replica: { kind: 'memory' },
        device: { name, kind: 'agent_runtime' },
      })
      clients.push(client)
      const channel = await client.subscribe({ project: projectId }, { tables: ['tasks'] })
      await channel.ready
      channel.onState((state) => {
        if (state === 'bootstrapping') loadedAgain.push(name)
      })
      return client
    },
    async close() {
      await Promise.all(clients.map((client) => client.close()))
      await balancer.close()
      for (const server of servers) server.signal('SIGCONT')
      for (const cable of [...cables, ...redisCables]) cable.heal()
      await Promise.all(servers.map((server) => server.stop()))
      await pool.end()
      await Promise.all([...cables, ...redisCables].map((cable) => cable.close()))
      await dropDatabase(administration, name)
      await services[Symbol.asyncDispose]()
      await rm(home, { recursive: true, force: true })
      if (loadedAgain.length > 0) throw new Error(`Devices had to load again: ${loadedAgain.join(', ')}`)
    },
  }
}

/**
 * Waits until a client sees just these present in a project, by what they show as `at`: `name: at`, in alphabetical
 * order.
 */
export async function seesPresent(client: Client, projectId: string, shown: readonly string[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const stop = client.presence({ project: projectId }).live((peers) => {
    const found = peers.map(({ name, state }) => `${name}: ${String(state['at'])}`)
    if (found.toSorted((a, b) => a.localeCompare(b)).join() === shown.join()) resolve()
  })
  await promise.finally(stop)
}

/** Waits until a replica shows a row as the server has it. */
export async function seesTask(client: Client, id: string): Promise<void> {
  for await (const [row] of client.tasks.live({ where: { id } })) if (row?.$sync.status === 'synced') return
}

function portOf({ url }: { readonly url: string }): number {
  return Number(new URL(url).port)
}

/** Waits until every server says so of Redis. */
export async function redisIs({ servers }: Pick<Cluster, 'servers'>, ok: boolean): Promise<void> {
  await until(async () => {
    const all = await Promise.all(servers.map(readiness))
    return all.every((one) => one?.redis?.ok === ok) || undefined
  })
}

/** What `/ready` says of a server; undefined while it does not answer. */
export async function readiness(server: ServerProcess): Promise<Readiness | undefined> {
  const response = await fetch(`${server.url}/ready`, { signal: AbortSignal.timeout(2000) }).catch(() => undefined)
  return response && ((await response.json()) as Readiness)
}

export interface Readiness {
  readonly ready: boolean
  readonly troubles?: readonly { readonly code: string }[]
  readonly log: 'writer' | 'follower' | null
  readonly redis: { readonly ok: boolean } | null
}

/** The server of these that writes the log; waits until there is one. */
export async function writerOf(servers: readonly ServerProcess[]): Promise<ServerProcess> {
  return until(async () => {
    const all = await Promise.all(servers.map(async (server) => ({ server, is: await readiness(server) })))
    return all.find(({ is }) => is?.log === 'writer')?.server
  })
}

/** What each of these does with the log, in alphabetical order: one writes it, the others follow. */
export async function rolesOf(servers: readonly ServerProcess[]): Promise<readonly string[]> {
  const all = await Promise.all(servers.map(readiness))
  return all.map((one) => one?.log ?? 'none').toSorted((a, b) => a.localeCompare(b))
}

/** The first answer that is not undefined. Whatever never comes ends with the deadline of the test. */
export async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
