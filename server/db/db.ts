import type { MikroORM } from '@mikro-orm/postgresql'
import type pg from 'pg'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import type { DatabaseConfig } from '../config.ts'
import { errorText, silentLog, type Log, type StatementObserver } from '../telemetry/telemetry.ts'
import { maskUrl, tlsRemedy } from './database-url.ts'
import { observeStatements } from './observe-statements.ts'
import { createSurvivingPool } from './surviving-pool.ts'
import { openEmbedded, type Embedded, type EmbeddedMode } from './embedded.ts'
import { createNotifications, type Notification } from './notifications.ts'
import { migrateUp, rollbackOne } from './migrate.ts'
import type { OwnSchema } from './own-schema.ts'
import type { EmbeddingChoice } from './prepare.ts'

export { nameOf, timeOf } from './ask-database.ts'
export { endBlocker, findBlocker, type Blocker } from './blockers.ts'
export { openDatabaseClock, type DatabaseClock } from './database-clock.ts'
export { databaseOf, toLibpq } from './database-url.ts'
export { concernsAll, databaseTrouble, isOtherSchema, troubleOf } from './database-trouble.ts'
export { consolidateMigrations } from './consolidate.ts'
export { draftMigration } from './draft-migration.ts'
export { createSurvivingPool } from './surviving-pool.ts'
export { findMissingExtensions, neededExtensions } from './extensions.ts'
export { inOneTransaction } from './in-one-transaction.ts'
export { insertRow } from './insert-row.ts'
export type { EmbeddedMode } from './embedded.ts'
export type { Notification } from './notifications.ts'
export { migrationNames, type OwnMigration, type OwnSchema } from './own-schema.ts'

/**
 * The one door to Postgres, whichever it is. With `DATABASE_URL` a server elsewhere; without, PGlite in a worker thread
 * of this process behind a Unix socket, reached by the same driver. Everything above sees only this.
 *
 *     pool ──┐                          ┌ Postgres 15 … 18
 *     orm  ──┼── Postgres wire protocol ┤
 *     listen ┘                          └ Unix socket → turns → PGlite (worker thread)
 *
 * PGlite has one backend, so connections take turns there (`turns.ts`): a transaction blocks all others while it lasts.
 * Never wait for a second connection while holding a transaction.
 */
export interface Database {
  readonly pool: pg.Pool
  /**
   * Two more, for what tells whether the database is well: requests that hold all connections of the pool do not keep
   * it waiting.
   */
  readonly watch: pg.Pool
  /** All of these by their names in the metrics: `main`, `watch`, and `read_1`, … for DATABASE_READ_URLS. */
  readonly pools: Readonly<Record<string, pg.Pool>>
  /**
   * Connections for reading what may be a little behind: to the replicas of DATABASE_READ_URLS in turn; without any,
   * `pool`.
   */
  readPool(): pg.Pool
  readonly embedded: boolean
  /** True when another process runs the embedded database, and this one has attached to it. */
  readonly attached: boolean
  /** For those who need a connection of their own: replication, listening, COPY. */
  readonly connection: pg.ClientConfig
  /** Lets the statements of a further pool on this database be heard as well. */
  observe(pool: pg.Pool): void
  /**
   * Hears every notification of the channels listened to. After a lost connection came back, `channel` is ''. Returns
   * how to stop.
   */
  onNotify(listener: (notification: Notification) => void): () => void
  /** LISTENs on a dedicated connection that comes back by itself. */
  listen(channel: string): Promise<void>
  /**
   * MikroORM on the same connection settings; loaded and made at first use, for it is most of what a server would
   * weigh.
   */
  orm(): Promise<MikroORM>
  /**
   * Applies what is pending, ships the rows that Tidewire brings, and returns the names of the migrations; concurrent
   * callers wait for each other. Embeddings of a new database get the dimension of `embedding`; throws `config_invalid`
   * when an older one has another. The model is noted. A migration gives way to others again and again while a table is
   * locked: `onWait` hears in a sentence whom it waits for. Throws `table_locked` in the end.
   */
  migrate(
    onProgress?: (migration: string) => void,
    embedding?: EmbeddingChoice,
    onWait?: (text: string) => void,
  ): Promise<readonly string[]>
  /** Reverts the newest migration and returns its name. */
  rollback(): Promise<string | undefined>
  /** Ends all connections; embedded: checkpoint, close, unlock. Queries in flight finish first. */
  close(): Promise<void>
}

export interface OpenOptions {
  readonly clock?: Clock
  readonly log?: Log
  /** Hears of the statements of the pool, and of those that are handed to `observe`. */
  readonly statements?: StatementObserver
  /** Embedded only; `own` when absent. */
  readonly mode?: EmbeddedMode
  /** The embedded database's thread died: nothing works any more. Default: say so and end the process with code 70. */
  readonly onCrash?: (error: Error) => void
  /** Tables of an application, and the migrations that make them. */
  readonly own?: OwnSchema | undefined
}

const drainLimitMs = 10_000
const watchSize = 2
const connectTimeoutMs = 30_000

/**
 * Opens the database of the configuration; does not migrate. Errors: `replica_locked`, `not_running`,
 * `database_unreachable`.
 */
export async function openDatabase(
  config: { readonly database: DatabaseConfig },
  options: OpenOptions = {},
): Promise<Database> {
  const { clock = systemClock, log = silentLog, mode = 'own', onCrash = endProcess, statements, own = {} } = options
  const embedded =
    config.database.kind === 'embedded'
      ? await openEmbedded(config.database.dataDir, { ...config.database, mode, clock, onCrash })
      : undefined
  const connection = connectionOf(config.database, embedded)
  const pool = createPool(connection, config.database.poolSize, log)
  const observe = (further: pg.Pool): void => {
    if (statements) observeStatements(further, statements, clock)
  }
  observe(pool)
  const watch = createPool(connection, watchSize, log)
  observe(watch)
  try {
    await pool.query('select 1')
  } catch (cause) {
    await pool.end()
    await embedded?.close()
    throw unreachableDatabase(config.database, cause)
  }
  const readPools = readConnections(config.database).map((one) => createPool(one, config.database.poolSize, log))
  for (const one of readPools) observe(one)
  const notifications = createNotifications(connection, { clock, log })
  return assemble({ pool, watch, readPools, connection, embedded, clock, log, observe, notifications, own })
}

interface Parts {
  readonly pool: pg.Pool
  readonly watch: pg.Pool
  /** Connect at first use. */
  readonly readPools: readonly pg.Pool[]
  readonly connection: pg.ClientConfig
  readonly embedded: Embedded | undefined
  readonly clock: Clock
  readonly log: Log
  readonly observe: (pool: pg.Pool) => void
  readonly notifications: ReturnType<typeof createNotifications>
  readonly own: OwnSchema
}

function assemble({
  pool,
  watch,
  readPools,
  connection,
  embedded,
  clock,
  log,
  observe,
  notifications,
  own,
}: Parts): Database {
  let orm: Promise<MikroORM> | undefined
  let closing: Promise<void> | undefined
  let lastRead = 0
  pool.on('connect', (client) => {
    client.on('notification', ({ channel, payload }) => notifications.emit({ channel, payload: payload ?? '' }))
  })
  const close = async (): Promise<void> => {
    await notifications.close()
    await (await orm?.catch(() => undefined))?.close(true)
    for (const one of [...readPools, watch, pool]) {
      await drain(one, clock)
      await one.end()
    }
    await embedded?.close()
  }
  const onMigrated = async (): Promise<void> => {
    // Only the next first start is slower for it: a cache that cannot be written is nobody's trouble.
    await embedded
      ?.keepTemplate?.()
      .catch((error: unknown) => log.debug('No template was kept', { error: errorText(error) }))
  }
  const database: Database = {
    pool,
    watch,
    pools: { main: pool, watch, ...Object.fromEntries(readPools.map((one, index) => [`read_${index + 1}`, one])) },
    readPool: () => readPools[lastRead++ % readPools.length] ?? pool,
    connection,
    embedded: embedded !== undefined,
    attached: embedded?.owned === false,
    observe,
    onNotify: (listener) => notifications.add(listener),
    listen: (channel) => notifications.listen(channel),
    orm: () => (orm ??= import('./orm.ts').then(({ openOrm }) => openOrm(connection, own))),
    migrate: (onProgress, embedding, onWait) =>
      migrateUp(connection, { orm: () => database.orm(), onProgress, onWait, embedding, own, onMigrated }),
    rollback: async () => rollbackOne(await database.orm(), connection, own),
    close: () => (closing ??= close()),
  }
  return database
}

/** pg-pool forgets those who still wait for a connection when it ends: they go first. */
async function drain(pool: pg.Pool, clock: Clock): Promise<void> {
  const deadline = clock.monotonic() + drainLimitMs
  while (pool.waitingCount > 0 && clock.monotonic() < deadline)
    await new Promise<void>((resolve) => void clock.after(5, resolve))
}

function connectionOf(config: DatabaseConfig, embedded: Embedded | undefined): pg.ClientConfig {
  if (embedded) return { host: embedded.host, port: 5432, user: 'postgres', database: 'postgres' }
  return config.kind === 'postgres'
    ? {
        connectionString: config.url,
        keepAlive: true,
        connectionTimeoutMillis: connectTimeoutMs,
        application_name: 'tidewire',
      }
    : {}
}

function readConnections(config: DatabaseConfig): readonly pg.ClientConfig[] {
  const urls = config.kind === 'postgres' ? config.readUrls : []
  return urls.map((url) => connectionOf({ kind: 'postgres', url, poolSize: config.poolSize, readUrls: [] }, undefined))
}

function createPool(connection: pg.ClientConfig, size: number, log: Log): pg.Pool {
  // An idle connection may break at any time; the next query gets a fresh one.
  const lost = (error: Error): void => log.debug('An idle connection was lost', { error: errorText(error) })
  const options: pg.PoolConfig = {
    ...connection,
    max: size,
    idleTimeoutMillis: 30_000,
    maxLifetimeSeconds: 3600,
    connectionTimeoutMillis: connectTimeoutMs,
  }
  return createSurvivingPool(options, lost)
}

function unreachableDatabase(config: DatabaseConfig, cause: unknown): TideError {
  const why = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : String(cause)
  if (config.kind === 'embedded') {
    return new TideError('not_running', `The database in ${config.dataDir} does not answer: ${why}.`, {
      cause,
      remedy: 'Start the server with `npx tidewire start`.',
    })
  }
  const remedy = tlsRemedy(cause)
  return new TideError('database_unreachable', `Postgres at ${maskUrl(config.url)} does not answer: ${why}.`, {
    cause,
    ...(remedy === undefined ? {} : { remedy }),
  })
}

function endProcess(error: Error): void {
  process.stderr.write(
    `The embedded database stopped: ${error.message}\nThe process ends now; what was acknowledged is on disk. Start it again.\n`,
  )
  process.exit(70)
}
