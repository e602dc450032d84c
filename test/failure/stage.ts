// What every failure story plays on: a server process that captures from the WAL, a database of its own, clients,
// people who write all the time, and the comparison at the end: nothing lost, nothing double, everyone equal to the
// database.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, shippedSchema, type Client } from '@tidewire/client'
import pg from 'pg'
import { expect } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createAuth, openSigningKey } from '../../server/auth/auth.ts'
import { seedDemo } from '../../server/demo/demo.ts'
import { clonePostgresTemplate } from '../support/database.ts'
import { ofDatabase, ofReplica, toPlainRow, type PlainRow } from '../support/plain-row.ts'
import { administer, dropDatabase } from '../support/postgres-admin.ts'
import { postgresUrl } from '../support/services.ts'
import { startServerProcess, type ServerProcess } from '../support/server-process.ts'
import {
  askReady,
  complaintsOf,
  ownConnection,
  recordHealth,
  type HealthRecord,
  type Readiness,
} from './health-record.ts'

export interface StageOptions {
  /** Administration URL of the cluster; without it, the one all tests share. */
  readonly cluster?: string
  /** A statement that makes the tablespace `small`, for its database to be in. */
  readonly tablespace?: string
  readonly env?: Readonly<Record<string, string>>
}

export interface Stage extends AsyncDisposable {
  readonly server: ServerProcess
  /** Of the story's database. */
  readonly url: string
  readonly database: string
  readonly projectId: string
  /** Makes a token of ada, who owns the organization. */
  readonly tokenFor: (seconds: number) => Promise<string>
  /** One statement, on a connection that is made for it if need be. */
  sql<R extends object = Record<string, string>>(text: string, values?: readonly unknown[]): Promise<readonly R[]>
  /** A client that follows the tasks, plans and projects of the demo. */
  open(name: string, replica?: 'memory' | 'pglite'): Promise<Client>
  /** Asks /ready once; status 0 when nothing answers. */
  ready(): Promise<Readiness>
  /** Waits until /ready answers as wanted. */
  untilReady(wanted?: (readiness: Readiness) => boolean): Promise<Readiness>
  /** Asks /ready again and again from now on, and remembers what it says. */
  watchHealth(): HealthRecord
  /** A number of /metrics, by name and labels as printed. */
  metric(name: string): Promise<number>
  /**
   * Asks for some of them again and again from now on. What it returns ends that, and answers the most that was seen of
   * each.
   */
  watchMetrics(...names: readonly string[]): () => Promise<readonly number[]>
  /**
   * Waits until every client has what the database has, then compares all rows of the followed tables column by column,
   * and lets each client verify itself.
   */
  expectEqual(clients: readonly Client[]): Promise<void>
}

/** By their names in the SDK. */
const followed = ['tasks', 'plans', 'taskDependencies', 'projects'] as const

export async function openStage({ cluster: own, tablespace, env = {} }: StageOptions = {}): Promise<Stage> {
  const cluster = own ?? postgresUrl()
  const database = `failure_${randomBytes(5).toString('hex')}`
  const home = await mkdtemp(join(tmpdir(), 'tidewire-failure-'))
  if (tablespace !== undefined) await administer(cluster, tablespace)
  if (own === undefined) await clonePostgresTemplate(database)
  else await administer(cluster, `create database ${database}${tablespace === undefined ? '' : ' tablespace small'}`)
  const url = Object.assign(new URL(cluster), { pathname: `/${database}` }).href
  const secret = randomBytes(32).toString('hex')
  const server = await startServerProcess(join(home, 'server'), {
    DATABASE_URL: url,
    DATABASE_POOL_SIZE: '5',
    DATABASE_MAX_OVERFLOW: '0',
    AUTH_SECRET: secret,
    CAPTURE: 'wal',
    LOG_LEVEL: 'info',
    // The command is its own process then: what is killed and measured is the server.
    NODE_OPTIONS: '--conditions=tidewire:source --disable-warning=ExperimentalWarning',
    ...env,
  })
  const pool = new pg.Pool({
    connectionString: url,
    max: 4,
    application_name: 'story',
    // Stories that let commits wait for a standby are told by connections that do not.
    options: '-c synchronous_commit=local',
  })
  pool.on('error', () => undefined)
  const { projectId, tokenFor } = await seed(pool, secret)
  const token = await tokenFor(12 * 3600)
  const clients: Client[] = []
  const stage: Stage = {
    server,
    url,
    database,
    projectId,
    tokenFor,
    sql: async <R extends object>(text: string, values: readonly unknown[] = []) =>
      (await pool.query<R>(text, [...values])).rows,
    async open(name, kind = 'memory') {
      const replica = kind === 'memory' ? { kind } : { kind, dir: join(home, name) }
      const tide = await connect({ url: server.url, token, replica, device: { name, kind: 'agent_runtime' } })
      clients.push(tide)
      const organization = await tide.subscribe({ organization: true }, { tables: ['projects'] })
      const project = await tide.subscribe({ project: projectId }, { tables: ['tasks', 'plans', 'taskDependencies'] })
      await Promise.all([organization.ready, project.ready])
      return tide
    },
    ready: () => askReady(server.url),
    async untilReady(wanted = ({ status }) => status === 200) {
      for (;;) {
        const readiness = await askReady(server.url)
        if (wanted(readiness)) return readiness
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
    watchHealth: () => recordHealth(server),
    metric: async (name) => numberOf(await readMetrics(server.url), name),
    watchMetrics: (...names) => watchMetrics(server.url, names),
    expectEqual: (compared) => expectEqual(compared, (text) => stage.sql(text)),
    async [Symbol.asyncDispose]() {
      // To see what the server said: STORY_LOG=1.
      if (process.env['STORY_LOG']) process.stderr.write(server.log.map((line) => `${JSON.stringify(line)}\n`).join(''))
      await Promise.all(clients.map((tide) => tide.close()))
      await server.stop()
      await pool.end()
      await dropDatabase(cluster, database)
      await rm(home, { recursive: true, force: true })
    },
  }
  // What is asked now may have been measured just before the slot was made.
  await stage.untilReady((readiness) => readiness.status === 200 && complaintsOf(readiness).length === 0)
  return stage
}

/** The demo, and tokens of ada, who owns its organization. */
async function seed(
  pool: pg.Pool,
  secret: string,
): Promise<{ readonly projectId: string; readonly tokenFor: (seconds: number) => Promise<string> }> {
  const deps = { clock: systemClock, random: systemRandom }
  const { projectId, organizationId } = await seedDemo(pool, { ...deps, dimension: 384 })
  const { rows } = await pool.query<{ id: string }>(`select id from users where email = 'ada@example.com'`)
  const auth = createAuth({ pool, key: await openSigningKey({ kind: 'secret', secret }, systemRandom), ...deps })
  return {
    projectId,
    tokenFor: (seconds) => auth.issueToken({ kind: 'user', id: rows[0]?.id ?? '', organizationId }, seconds),
  }
}

async function readMetrics(url: string): Promise<readonly string[]> {
  const answer = await fetch(`${url}/metrics`, ownConnection)
  return (await answer.text()).split('\n')
}

function numberOf(metrics: readonly string[], name: string): number {
  const line = metrics.find((each) => each.startsWith(`${name} `))
  return line === undefined ? Number.NaN : Number(line.slice(name.length + 1))
}

function watchMetrics(url: string, names: readonly string[]): () => Promise<readonly number[]> {
  let stopped = false
  let most = names.map(() => 0)
  const run = async (): Promise<void> => {
    while (!stopped) {
      const metrics = await readMetrics(url)
      most = names.map((name, index) => Math.max(most[index] ?? 0, numberOf(metrics, name)))
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }
  const running = run()
  // Told by whoever ends it.
  running.catch(() => undefined)
  return async () => {
    stopped = true
    await running
    return most
  }
}

/**
 * Waits until every client has what the database has, then compares all rows of the tables, which it follows, column by
 * column, and lets each client verify itself.
 */
export async function expectEqual(
  clients: readonly Client[],
  sql: (text: string) => Promise<readonly Record<string, unknown>[]>,
  tables: readonly (typeof followed)[number][] = followed,
): Promise<void> {
  for (const tide of clients) await tide.synced()
  for (const table of tables) {
    const truth = await sql(
      `select to_jsonb(t) as row from ${shippedSchema[table].name} t where deleted_at is null order by id`,
    )
    const rows = truth.map(({ row }) => toPlainRow(shippedSchema[table], row as PlainRow, ofDatabase))
    for (const tide of clients) {
      const has = async (): Promise<readonly PlainRow[]> => {
        const found: readonly PlainRow[] = await tide[table].find({ orderBy: [{ id: 'asc' }] })
        return found.map((row) => toPlainRow(shippedSchema[table], row, ofReplica))
      }
      await expect.poll(has, { timeout: 60_000, interval: 100 }).toEqual(rows)
    }
  }
  for (const tide of clients) expect(await tide.verify()).toEqual({ equal: true })
}

/** The log has no key twice within one commit of the WAL. */
export async function expectLoggedOnce(stage: Pick<Stage, 'sql'>): Promise<void> {
  const doubled = await stage.sql(
    `select seq, table_name, row_id from sync_changes where row_id is not null group by seq, table_name, row_id having count(*) > 1`,
  )
  expect(doubled).toEqual([])
}

/** Resolves when the client's status is as wanted. */
export async function untilStatus(tide: Client, wanted: (status: Client['status']) => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const stop = tide.onStatus((status) => {
    if (wanted(status)) resolve()
  })
  if (wanted(tide.status)) resolve()
  await promise.finally(stop)
}

export const isCurrent = ({ connection, staleSince }: Client['status']): boolean =>
  connection === 'live' && staleSince === null
export const isStale = ({ staleSince }: Client['status']): boolean => staleSince !== null
