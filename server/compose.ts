/**
 * The composition root of the server: the only file that knows all rooms. It constructs them in the order in which they
 * need each other and hands each what it needs.
 *
 *     database → catalog → capture → hub ─┐
 *                       └→ mutations ─────┼→ gateway → HTTP server
 *                       └→ search, auth ──┘
 *
 * Each part says how it ends at the line that opens it (`lib/opened.ts`): what a start opened that fails is closed as
 * by a stop.
 */
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { join } from 'node:path'
import { systemClock, type Clock } from '../lib/clock.ts'
import { oneAtATime } from '../lib/one-at-a-time.ts'
import { Opened } from '../lib/opened.ts'
import { systemRandom } from '../lib/random.ts'
import { TideError } from '../protocol/error.ts'
import { createActions, shippedActions, type AnyAction } from './actions/actions.ts'
import { nightlyBackups } from './backup/nightly-backups.ts'
import { createAuth, createDeviceRegistry, createDeviceStandings, createSignIn, openSigningKey } from './auth/auth.ts'
import { createTriggerSource, createWalSource } from './capture/capture.ts'
import { createCipher, createCredentials, type Credentials } from './credentials/credentials.ts'
import { startIntegrations } from './integrations/integrations.ts'
import { openCluster } from './cluster/cluster.ts'
import { loadCatalog, type Catalog } from './catalog/catalog.ts'
import type { Config } from './config.ts'
import { nameOf, openDatabase, openDatabaseClock, timeOf, type Database, type OwnSchema } from './db/db.ts'
import {
  attachGateway,
  createHttpHandler,
  createRequestAddress,
  createSignInRoutes,
  listen,
  watchRequests,
  openAdapter,
  type Gateway,
  type Pusher,
} from './gateway/gateway.ts'
import { createHub } from './hub/hub.ts'
import { createSqlFeed } from './hub/sql-feed.ts'
import { embeddingService, readSystemHealth, startMaintenance } from './maintenance/maintenance.ts'
import { createSearch } from './search/search.ts'
import { createMutations, type PushObserver } from './mutation/mutations.ts'
import { createSqlMutationStore } from './mutation/sql-mutation-store.ts'
import { createRepositories, type Repositories } from './repositories/repositories.ts'
import { createReports, explainRequests, packageVersion } from './reports.ts'
import { createObservation } from './telemetry/observation.ts'
import { errorText, silentLog, StatementLog, Troubles, type Log, type Trouble } from './telemetry/telemetry.ts'

/** The most that a stop waits for pushes and requests in flight, and for clients to be sent elsewhere. Milliseconds. */
const drainLimitMs = 10_000

/** How long an answer of /health/system stands: measuring is heavy work for the database. Milliseconds. */
const systemHealthMs = 5000

/** What an application adds to the server: tables of its own, the migrations that make them, and actions. */
export interface Application extends OwnSchema {
  /** Made with `defineAction`; beside the shipped ones. */
  readonly actions?: readonly AnyAction[]
}

export interface ComposeOptions {
  readonly clock: Clock
  readonly log: Log
  readonly application: Application
  readonly onProgress: (text: string) => void
  /** Hears in a sentence why the server can no longer work. */
  readonly onFailed: (why: string) => void
}

/** All rooms at work. */
export interface Composed {
  readonly database: Database
  readonly repositories: Repositories
  readonly credentials: Credentials
  /** Listening. */
  readonly http: HttpServer
  /** Serves on for `shutdownDelayMs`, finishes what is in flight, for a limited time, and ends everything. */
  close(): Promise<void>
}

/**
 * Opens everything; rejects with nothing left open. Errors: those of `openDatabase` and of migrations, and
 * `port_in_use`.
 */
export async function compose(config: Config, options: ComposeOptions): Promise<Composed> {
  const { clock, log } = options
  const opened = new Opened()
  const close = (delayMs: number): Promise<void> =>
    opened.close({ clock, delayMs, ms: drainLimitMs }, (error) =>
      log.debug('A part did not end well', { error: errorText(error) }),
    )
  try {
    return { ...(await openAll(config, options, opened)), close: () => close(config.shutdownDelayMs) }
  } catch (error) {
    await close(0)
    throw error
  }
}

async function openAll(
  config: Config,
  { clock, log, application, onProgress, onFailed }: ComposeOptions,
  opened: Opened,
): Promise<Omit<Composed, 'close'>> {
  const { limits, statementTimeoutMs } = config
  const random = systemRandom
  const statements = new StatementLog(clock, config.slowQueryMs)
  onProgress(
    config.database.kind === 'embedded'
      ? `Opening the embedded database in ${config.dataDir}`
      : 'Connecting to Postgres',
  )
  const database = await openDatabase(config, {
    ...{ clock, log, statements, mode: 'own', own: application },
    onCrash: (error) => {
      log.error('The embedded database stopped', { error: errorText(error) })
      onFailed(`The embedded database stopped (${error.message})`)
    },
  })
  opened.toEnd(() => database.close())
  await database.migrate((name) => onProgress(`Applying ${name}`), config.embedding, onProgress)
  const { pool } = database
  const catalog = loadCatalog(application.entities ?? [], { embeddingDimension: config.embedding.dimension })
  const troubles = new Troubles(clock, log)
  const cluster = await openCluster({ redisUrl: config.redisUrl, name: await nameOf(database), clock, random, log })
  opened.toEnd(() => cluster.close())
  const tracing =
    config.tracing &&
    (await import('./telemetry/tracing.ts')).startTracing({
      ...{ config: config.tracing, clock, random, log, version: packageVersion },
    })
  if (tracing) opened.toEnd(() => tracing.close())
  /** Nothing is captured before there are metrics. */
  let count: (event: 'gap' | 'foreign', label: string) => void = () => undefined
  const news = cluster.news?.('log')
  const source =
    config.capture === 'wal'
      ? createWalSource({
          ...{ database, clock, random, log, news, troubles },
          onGap: (cause) => count('gap', cause),
          onForeign: (reason) => count('foreign', reason),
        })
      : createTriggerSource({ database, clock, log, news })
  const feed = createSqlFeed({ database, source, catalog })
  opened.toEnd(() => feed.close())
  /** Constructed after the reports, which count its connections. */
  const late: { gateway?: Gateway } = {}
  const { health, metrics, readiness, vitals } = createReports({
    ...{ database, config, clock, source, feed, cluster, troubles },
    hub: () => hub,
    gateway: () => late.gateway,
    isClosing: () => opened.isClosing,
  })
  opened.toEnd(() => health.stop())
  count = (event, label) => metrics.count(event, label)
  const observation = createObservation({ clock, metrics, tracing })
  const hub = createHub({
    ...{ feed, source, catalog, clock, log, troubles },
    limits: { subscriptions: limits.subscriptions, windowBatches: limits.windowBatches },
    observer: observation.hub,
  })
  const wake = (): void => hub.wake()
  // What ends at a time ends by the time of the database; ages and waits are by monotonic time.
  const time = await openDatabaseClock(() => timeOf(database), clock)
  opened.toEnd(() => time.stop())
  const auth = createAuth({ pool, key: await openSigningKey(config.auth, random), clock: time, random })
  const addressOf = createRequestAddress(config.trustedProxies)
  const routes = createSignInRoutes({
    signIn: createSignIn({ pool, auth, clock: time, random }),
    allowedOrigins: config.allowedOrigins,
    addressOf,
  })
  const credentials = createCredentials({
    pool,
    cipher: createCipher(config.encryptionKeys, random),
    clock: time,
    random,
  })
  const integrations = startIntegrations({
    ...{ pool, credentials, config, clock: time, random, log, metrics },
    onCommitted: wake,
  })
  opened.toFinish(() => integrations.stop())
  const systemHealth = oneAtATime(() => readSystemHealth(pool), { clock, ms: systemHealthMs })
  const http = createHttpServer(
    createHttpHandler({ readiness, systemHealth, metrics, log, routes: [routes, integrations.routes] }),
  )
  opened.toEnd(() => hub.stop())
  await hub.start()
  // Another server writes the log from then on, so that nobody waits for this one's end.
  opened.toFinish(async () => source.retire?.())
  const requests = watchRequests(http)
  opened.toEnd(() => requests.cut())
  await listen(http, config)
  const gateway = attachGateway(http, {
    auth,
    devices: createDeviceRegistry({ pool, clock: time, random }),
    standings: createDeviceStandings({ pool, clock: time, log }),
    hub,
    mutations: createPusher(database, {
      ...{ catalog, clock: time, log, statementTimeoutMs },
      onCommitted: wake,
      observer: observation.push,
    }),
    clock: time,
    log,
    limits,
    random,
    search: createSearch({ pool, catalog, clock, random, statementTimeoutMs }),
    actions: createActions({
      ...{ pool, catalog, clock, random, statementTimeoutMs },
      actions: [...shippedActions, ...(application.actions ?? [])],
      readCredential: (client, name) => credentials.within(client).read(name),
      onCommitted: wake,
    }),
    allowedOrigins: config.allowedOrigins,
    addressOf,
    others: cluster.redis && {
      node: cluster.node,
      adapter: await openAdapter(cluster.redis.adapterClient, cluster.prefix),
    },
    schemaHash: catalog.schemaHash,
    count: (event, label) => metrics.count(event, label),
    explain: explainRequests(troubles),
    trouble: () => toError(troubles.feeding),
  })
  late.gateway = gateway
  opened.toFinish(async () => {
    await gateway.drain()
    await requests.finish()
  })
  opened.toEnd(async () => {
    // It ends with the last connection.
    requests.cut()
    await gateway.close()
  })
  troubles.onChange(() => {
    const trouble = toError(troubles.feeding)
    if (trouble) gateway.tell(trouble)
  })
  const maintenance = startMaintenance({
    ...{ database, catalog, clock: time, random, log, troubles, vitals },
    archiveDir: join(config.dataDir, 'archive'),
    artifactDir: config.artifactDir,
    inspectCapture: async () => (await source.inspect?.()) ?? true,
    onCanary: wake,
    onGap: (cause) => count('gap', cause),
    statements: () => statements.take(),
    embedding: embeddingService(config.embedding, { clock, random }),
    backups: nightlyBackups(config, { database, clock, random, log }),
  })
  opened.toFinish(() => maintenance.stop())
  const repositories = createRepositories({ database, catalog, clock, random, onCommitted: wake })
  return { database, repositories, credentials, http }
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
    readonly statementTimeoutMs?: number | undefined
    readonly onCommitted?: () => void
    readonly observer?: PushObserver
  },
): Pusher {
  const { catalog, clock = systemClock, log = silentLog, onCommitted = () => undefined, observer } = options
  const store = createSqlMutationStore({ pool, catalog, statementTimeoutMs: options.statementTimeoutMs })
  return createMutations({ store, catalog, clock, log, onCommitted, ...(observer ? { observer } : {}) })
}
