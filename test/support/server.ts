// A whole server in this process, on a database of its own with a fixture in it: embedded, but Postgres in project
// `both`.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createAuth, openSigningKey } from '../../server/auth/auth.ts'
import { loadConfig, type Config } from '../../server/config.ts'
import { openDatabase } from '../../server/db/db.ts'
import type { Principal } from '../../server/scope/principal.ts'
import { createServer, type Application, type TideServer } from '../../server/server.ts'
import { silentLog, type Log } from '../../server/telemetry/telemetry.ts'
import { copyOfTemplate, createTestDatabase, usualKind } from './database.ts'
import { seedFixture, type Fixture } from './fixtures.ts'

export interface TestServer {
  readonly server: TideServer
  readonly url: string
  readonly config: Config
  readonly fixture: Fixture
  /** A JWT for the principal. */
  tokenOf(principal: Principal, ttlSeconds?: number): Promise<string>
  userToken(userId: string, ttlSeconds?: number): Promise<string>
  close(): Promise<void>
}

export interface TestServerOptions {
  readonly clock?: Clock
  readonly limits?: Partial<Config['limits']>
  readonly log?: Log
  readonly tracing?: Config['tracing']
  /** Other settings. */
  readonly config?: Partial<Config>
  readonly application?: Application
}

export async function startTestServer({
  clock = systemClock,
  limits = {},
  log = silentLog,
  tracing,
  config: more = {},
  application,
}: TestServerOptions = {}): Promise<TestServer> {
  const postgres = usualKind === 'postgres' ? await createTestDatabase() : undefined
  const dataDir = postgres ? join(await mkdtemp(join(tmpdir(), 'tidewire-test-')), 'data') : await copyOfTemplate()
  const base = loadConfig({
    TIDEWIRE_DATA: dataDir,
    PORT: '0',
    ...(postgres && { DATABASE_URL: postgres.url, AUTH_SECRET: 'a-secret-of-this-test-and-of-nothing-else' }),
  })
  const config: Config = { ...base, ...more, limits: { ...base.limits, ...limits }, tracing }
  if (config.embedding.dimension !== base.embedding.dimension) await forgetDimension(config)
  const server = createServer(config, { ...application, clock, log })
  await server.listen()
  const { pool } = server.database
  const fixture = await seedFixture(pool)
  const auth = createAuth({ pool, key: await openSigningKey(config.auth, systemRandom), clock, random: systemRandom })
  const tokenOf = (principal: Principal, ttlSeconds = 3600): Promise<string> => auth.issueToken(principal, ttlSeconds)
  return {
    server,
    url: server.url,
    config,
    fixture,
    tokenOf,
    userToken: (id, ttlSeconds) => tokenOf({ kind: 'user', id, organizationId: fixture.organizationId }, ttlSeconds),
    async close() {
      await server.close()
      await postgres?.close()
      await rm(dirname(dataDir), { recursive: true, force: true })
    },
  }
}

/** The template has embeddings of the usual dimension: as new again, it takes the one that is configured. */
async function forgetDimension(config: Config): Promise<void> {
  const database = await openDatabase(config)
  await database.pool.query(`delete from system_settings where key = 'embedding.dimension'`)
  await database.close()
}
