/**
 * The composition root of the server: the only file that knows all rooms. It constructs them in the order in which they
 * need each other and hands each what it needs.
 *
 *     database → catalog → capture → hub ─┐
 *                       └→ mutations ─────┼→ gateway → HTTP server
 *                       └→ search, auth ──┘
 */
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { systemClock, type Clock } from '../lib/clock.ts'
import { oneAtATime } from '../lib/one-at-a-time.ts'
import { systemRandom } from '../lib/random.ts'
import { TideError } from '../protocol/error.ts'
import { createActions, shippedActions, type AnyAction } from './actions/actions.ts'
import { nightlyBackups } from './backup/backup.ts'
import { createAuth, createDeviceRegistry, createDeviceStandings, createSignIn, openSigningKey } from './auth/auth.ts'
import { createTriggerSource, createWalSource } from './capture/capture.ts'
import { createCipher, createCredentials, type Credentials } from './credentials/credentials.ts'
import { startIntegrations, type Integrations } from './integrations/integrations.ts'
import { openCluster, type Cluster } from './cluster/cluster.ts'
import type { ChangeSource } from './capture/change-source.ts'
import { loadCatalog, type Catalog } from './catalog/catalog.ts'
import type { Config } from './config.ts'
import {
  databaseTrouble,
  nameOf,
  openDatabase,
  openDatabaseClock,
  timeOf,
  type Database,
  type DatabaseClock,
  type OwnSchema,
} from './db/db.ts'
import type { TableEntity } from './entities/define.ts'
import {
  attachGateway,
  createHttpHandler,
  createSignInRoutes,
  listen,
  type Gateway,
  type Pusher,
} from './gateway/gateway.ts'
import { createHub, type Hub } from './hub/hub.ts'
import { createSqlFeed, type SqlFeed } from './hub/sql-feed.ts'
import { embeddingService, readSystemHealth, startMaintenance } from './maintenance/maintenance.ts'
import type { Maintenance } from './maintenance/maintenance.ts'
import { createSearch } from './search/search.ts'
import { createMutations, type PushObserver } from './mutation/mutations.ts'
import { createSqlMutationStore } from './mutation/sql-mutation-store.ts'
import { createRepositories, type Repositories } from './repositories/repositories.ts'
import { createReports, packageVersion } from './reports.ts'
import type { HealthWatch } from './telemetry/health.ts'
import { createObservation } from './telemetry/observation.ts'
import { startTracing, type Tracing } from './telemetry/tracing.ts'
import { errorText, silentLog, StatementLog, Troubles, type Log, type Trouble } from './telemetry/telemetry.ts'

export { defineAction, type ActionContext, type CredentialRequest } from './actions/actions.ts'
export { loadConfig, type Config } from './config.ts'
export type { OwnMigration } from './db/db.ts'
export { Migration } from '@mikro-orm/migrations'
// What an application declares its own tables with (docs/embedding.md).
export {
  bigint,
  boolean,
  date,
  double,
  enumeration,
  integer,
  json,
  numeric,
  reference,
  text,
  textArray,
  timestamp,
  uuid,
  vector,
} from './entities/column.ts'
export { defineTable, type TableEntity } from './entities/define.ts'
export { gin, hnsw, index, live, trigram, unique } from './entities/indexes.ts'
export { authorColumns, recordColumns, scopeColumns, serverColumns, syncedColumns } from './entities/mixins.ts'
export type { Credentials } from './credentials/credentials.ts'
export type { Actor, Repositories, Unit } from './repositories/repositories.ts'

/** What an application adds to the server: tables of its own, the migrations that make them, and actions. */
export interface Application extends OwnSchema {
  /** Made with `defineAction`; beside the shipped ones. */
  readonly actions?: readonly AnyAction[]
}

export interface ServerOptions extends Application {
  readonly clock?: Clock
  readonly log?: Log
  /** Hears what is being done while the server starts. */
  readonly onProgress?: (text: string) => void
}

export interface TideServer {
  /** Opens the database, applies pending migrations and listens. Errors: those of `openDatabase`, and `port_in_use`. */
  listen(): Promise<void>
  /** Takes no more connections, finishes what is in flight, and closes the database. */
  close(): Promise<void>
  /** Where it listens; the port is the real one when the configured is 0. Throws `closed` before `listen`. */
  readonly address: AddressInfo
  readonly url: string
  /** Throws `closed` before `listen`. */
  readonly database: Database
  /** Typed reading and writing of every table, for code in this process. Throws `closed` before `listen`. */
  readonly repositories: Repositories
  /** Secrets of third parties, of all organizations, for code in this process. Throws `closed` before `listen`. */
  readonly credentials: Credentials
  /** Resolves with a sentence when the server can no longer work. */
  readonly failed: Promise<string>
}

/** The most that a stop waits for pushes in flight, and for clients to be sent elsewhere. Milliseconds. */
const drainLimitMs = 10_000

/** How long an answer of /health/system stands: measuring is heavy work for the database. Milliseconds. */
const systemHealthMs = 5000

/** All that runs while the server listens. */
interface Running {
  readonly database: Database
  readonly repositories: Repositories
  readonly credentials: Credentials
  readonly cluster: Cluster
  readonly source: ChangeSource
  readonly state: { isClosing: boolean }
  readonly hub: Hub
  readonly feed: SqlFeed
  readonly maintenance: Maintenance
  readonly integrations: Integrations
  readonly gateway: Gateway
  readonly http: HttpServer
  readonly health: HealthWatch
  readonly tracing: Tracing | undefined
  readonly time: DatabaseClock
}

/** Makes a server; nothing happens before `listen`. */
export function createServer(config: Config, options: ServerOptions = {}): TideServer {
  const { clock = systemClock, log = silentLog, onProgress = () => undefined, actions = [], entities = [] } = options
  const failed = Promise.withResolvers<string>()
  let running: Running | undefined
  const now = (): Running => {
    if (running) return running
    throw new TideError('closed', 'The server does not run.', { remedy: 'Call listen() first.' })
  }
  return {
    failed: failed.promise,
    get database() {
      return now().database
    },
    get repositories() {
      return now().repositories
    },
    get credentials() {
      return now().credentials
    },
    get address() {
      const address = now().http.address()
      if (address !== null && typeof address !== 'string') return address
      throw new TideError('closed', 'The server does not listen.')
    },
    get url() {
      const { address, port, family } = this.address
      return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
    },
    async listen() {
      onProgress(
        config.database.kind === 'embedded'
          ? `Opening the embedded database in ${config.dataDir}`
          : 'Connecting to Postgres',
      )
      const statements = new StatementLog(clock, config.slowQueryMs)
      const database = await openDatabase(config, {
        clock,
        log,
        statements,
        mode: 'own',
        own: options,
        onCrash: (error) => {
          log.error('The embedded database stopped', { error: errorText(error) })
          failed.resolve(`The embedded database stopped (${error.message})`)
        },
      })
      try {
        await database.migrate((name) => onProgress(`Applying ${name}`), config.embedding)
        running = await compose(database, config, { clock, log, actions, entities, statements })
        log.debug('Listening', { host: config.host, port: this.address.port })
      } catch (error) {
        await database.close()
        throw error
      }
    },
    async close() {
      const last = running
      if (!last || last.state.isClosing) return
      last.state.isClosing = true
      // Another server writes the log from now on, so that nobody waits for this one's end.
      const retired = last.source
        .retire?.()
        .catch((error: unknown) => log.debug('Retiring failed', { error: errorText(error) }))
      const drained = Promise.all([retired, last.gateway.drain(), last.maintenance.stop(), last.integrations.stop()])
      await Promise.race([drained, new Promise<void>((resolve) => void clock.after(drainLimitMs, resolve))])
      running = undefined
      last.health.stop()
      await last.gateway.close()
      last.http.closeAllConnections()
      await last.hub.stop()
      await last.feed.close()
      await last.tracing?.close()
      await last.cluster.close()
      last.time.stop()
      await last.database.close()
      log.info('Closed')
    },
  }
}

interface Composed {
  readonly clock: Clock
  readonly log: Log
  readonly actions: readonly AnyAction[]
  readonly entities: readonly TableEntity[]
  readonly statements: StatementLog
}

async function compose(
  database: Database,
  config: Config,
  { clock, log, actions, entities, statements }: Composed,
): Promise<Running> {
  const { pool } = database
  const { limits } = config
  const random = systemRandom
  const catalog = loadCatalog(entities, { embeddingDimension: config.embedding.dimension })
  const troubles = new Troubles(clock, log)
  const cluster = openCluster({ redisUrl: config.redisUrl, name: await nameOf(database), clock, random, log })
  const news = cluster.news?.('log')
  const tracing =
    config.tracing && (await startTracing({ config: config.tracing, clock, random, log, version: packageVersion }))
  /** Nothing is captured before there are metrics. */
  let count: (event: 'gap' | 'foreign', label: string) => void = () => undefined
  const source =
    config.capture === 'wal'
      ? createWalSource({
          ...{ database, clock, random, log, news, troubles },
          onGap: (cause) => count('gap', cause),
          onForeign: (reason) => count('foreign', reason),
        })
      : createTriggerSource({ database, clock, log, news })
  const feed = createSqlFeed({ database, source, catalog })
  const state: { gateway?: Gateway; isClosing: boolean } = { isClosing: false }
  const { health, metrics, readiness, vitals } = createReports({
    ...{ database, config, clock, source, feed, cluster, troubles },
    hub: () => hub,
    gateway: () => state.gateway,
    isClosing: () => state.isClosing,
  })
  count = (event, label) => metrics.count(event, label)
  const observation = createObservation({ clock, metrics, tracing })
  const hub = createHub({
    feed,
    source,
    catalog,
    clock,
    log,
    troubles,
    limits: { subscriptions: limits.subscriptions, windowBatches: limits.windowBatches },
    observer: observation.hub,
  })
  // What ends at a time ends by the time of the database; ages and waits are by monotonic time.
  const time = await openDatabaseClock(() => timeOf(database), clock)
  const mutations = createPusher(database, {
    catalog,
    clock: time,
    log,
    onCommitted: () => hub.wake(),
    observer: observation.push,
  })
  const auth = createAuth({ pool, key: await openSigningKey(config.auth, random), clock: time, random })
  const routes = createSignInRoutes({
    signIn: createSignIn({ pool, auth, clock: time, random }),
    allowedOrigins: config.allowedOrigins,
  })
  const wake = (): void => hub.wake()
  const cipher = createCipher(config.encryptionKeys, random)
  const credentials = createCredentials({ pool, cipher, clock: time, random })
  const integrations = startIntegrations({
    ...{ pool, credentials, config, clock: time, random, log, metrics },
    onCommitted: wake,
  })
  const systemHealth = oneAtATime(() => readSystemHealth(pool), { clock, ms: systemHealthMs })
  const http = createHttpServer(
    createHttpHandler({ readiness, systemHealth, metrics, log, routes: [routes, integrations.routes] }),
  )
  try {
    await hub.start()
    await listen(http, config)
  } catch (error) {
    await integrations.stop()
    health.stop()
    time.stop()
    await hub.stop()
    await feed.close()
    await cluster.close()
    await tracing?.close()
    throw error
  }
  const gateway = attachGateway(http, {
    auth,
    devices: createDeviceRegistry({ pool, clock: time, random }),
    standings: createDeviceStandings({ pool, clock: time, log }),
    hub,
    mutations,
    clock: time,
    log,
    limits,
    random,
    search: createSearch({ pool, catalog }),
    actions: createActions({
      pool,
      catalog,
      clock,
      random,
      actions: [...shippedActions, ...actions],
      readCredential: (client, name) => credentials.within(client).read(name),
      onCommitted: () => hub.wake(),
    }),
    allowedOrigins: config.allowedOrigins,
    others: cluster.redis && { node: cluster.node, prefix: cluster.prefix, client: cluster.redis.adapterClient },
    schemaHash: catalog.schemaHash,
    count: (event, label) => metrics.count(event, label),
    explain: (error) => {
      const trouble = databaseTrouble(error)
      if (trouble) troubles.report('requests', trouble)
      return trouble
    },
    trouble: () => toError(troubles.feeding),
  })
  troubles.onChange(() => {
    const trouble = toError(troubles.feeding)
    if (trouble) gateway.tell(trouble)
  })
  state.gateway = gateway
  const maintenance = startMaintenance({
    database,
    catalog,
    archiveDir: join(config.dataDir, 'archive'),
    artifactDir: config.artifactDir,
    clock: time,
    log,
    troubles,
    inspectCapture: async () => source.inspect?.(),
    onCanary: () => hub.wake(),
    onGap: (cause) => count('gap', cause),
    vitals,
    statements: () => statements.take(),
    embedding: embeddingService(config.embedding, { clock, random }),
    backups: nightlyBackups(config, { database, clock, random, log }),
  })
  const repositories = createRepositories({ database, catalog, clock, random, onCommitted: () => hub.wake() })
  return {
    ...{ database, repositories, credentials, cluster },
    ...{ source, state, hub, feed },
    maintenance,
    integrations,
    gateway,
    http,
    health,
    tracing,
    time,
  }
}

function toError(trouble: Trouble | undefined): TideError | undefined {
  return trouble && new TideError(trouble.code, trouble.message, { remedy: trouble.remedy })
}

/** The mutations room on a database: for the gateway, and for commands that write as a device. */
export function createPusher(
  { pool }: Pick<Database, 'pool'>,
  options: {
    /** That of the configuration: values are checked by it. */
    readonly catalog: Catalog
    readonly clock?: Clock
    readonly log?: Log
    readonly onCommitted?: () => void
    readonly observer?: PushObserver
  },
): Pusher {
  const { catalog, clock = systemClock, log = silentLog, onCommitted = () => undefined, observer } = options
  const store = createSqlMutationStore({ pool, catalog })
  return createMutations({ store, catalog, clock, log, onCommitted, ...(observer ? { observer } : {}) })
}
