/**
 * The test stand: a database of its own with projects of known size, and servers on it, each started for one workload
 * so that none inherits another's garbage.
 *
 *     bench process ── WebSocket ──▶ server process ──▶ database
 *           └───────────── SQL (the writers) ──────────────┘
 */
import pg from 'pg'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { openDatabase } from '../../server/db/db.ts'
import { seedDemo } from '../../server/demo/demo.ts'
import { createOwnDatabase } from './database.ts'
import { seedProject, type Project } from './seed.ts'
import { runCli, startServer, type Server } from './server.ts'

export interface Stand extends AsyncDisposable {
  readonly database: 'embedded' | 'postgres'
  readonly databaseName: string
  /** Where databases may be made; undefined: the embedded one. */
  readonly databaseUrl: string | undefined
  /** The database of this run; undefined: the embedded one. */
  readonly ownUrl: string | undefined
  readonly organizationId: string
  readonly userId: string
  readonly projects: { readonly [name in keyof typeof sizes]: Project }
  /** Token of ada, valid for a day. Taken when a server runs for the first time. */
  token(): Promise<string>
  startServer(): Promise<Server>
  /** A connection of its own. Embedded: only while a server runs. The caller ends it. */
  connect(): Promise<pg.Client>
  /** As few as fit with `--quick`, else all. */
  size(full: number, quick: number): number
}

/** Tasks per project, full and with `--quick`. */
const sizes = {
  /** Where a thousand subscribers follow live changes. */
  few: [500, 50],
  /** Where a hundred do. */
  live: [5000, 200],
  small: [10_000, 500],
  large: [100_000, 2000],
} as const

export interface StandOptions {
  readonly databaseUrl: string | undefined
  readonly quick: boolean
  readonly profileDir: string | undefined
  /** As in the server's setting CAPTURE; undefined: its default. */
  readonly capture: string | undefined
  readonly progress: (line: string) => void
}

export async function openStand({ databaseUrl, quick, profileDir, capture, progress }: StandOptions): Promise<Stand> {
  const own = await createOwnDatabase(databaseUrl)
  try {
    progress(`Migrating and seeding ${own.name}`)
    const seeded = await seed(own.config, quick)
    const env = {
      ...own.env,
      AUTH_SECRET: 'bench-secret-bench-secret-bench-secret-0',
      ...(capture ? { CAPTURE: capture } : {}),
    }
    let token: Promise<string> | undefined
    return {
      ...seeded,
      database: own.config.kind,
      databaseUrl,
      ownUrl: own.config.kind === 'postgres' ? own.config.url : undefined,
      databaseName: capture ? `${own.name}, capture by ${capture}` : own.name,
      token: () => (token ??= runCli(env, ['token', '--user', 'ada@example.com', '--org', 'demo', '--ttl', '24h'])),
      startServer: () => startServer({ env, profileDir }),
      connect: async () => {
        const database = await openDatabase({ database: own.config }, { mode: 'attach' })
        const client = new pg.Client(database.connection)
        // A workload that fails stops its server first, and the embedded database with it; the next query would say so.
        client.on('error', () => undefined)
        await client.connect()
        await database.close()
        return client
      },
      size: (full, small) => (quick ? small : full),
      [Symbol.asyncDispose]: () => own.drop(),
    }
  } catch (error) {
    await own.drop()
    throw error
  }
}

/** Before any server runs, so that nothing of it has to be captured. */
async function seed(
  config: Parameters<typeof openDatabase>[0]['database'],
  quick: boolean,
): Promise<Pick<Stand, 'organizationId' | 'userId' | 'projects'>> {
  const database = await openDatabase({ database: config })
  const client = await database.pool.connect()
  try {
    await database.migrate()
    const { organizationId } = await seedDemo(database.pool, {
      clock: systemClock,
      random: systemRandom,
      dimension: 384,
    })
    const { rows } = await client.query<{ id: string }>(`select id from users where email = 'ada@example.com'`)
    const userId = rows[0]?.id ?? ''
    const make = (name: keyof typeof sizes): Promise<Project> =>
      seedProject(client, organizationId, userId, name, sizes[name][quick ? 1 : 0])
    const projects = {
      few: await make('few'),
      live: await make('live'),
      small: await make('small'),
      large: await make('large'),
    }
    await client.query('vacuum analyze')
    return { organizationId, userId, projects }
  } finally {
    client.release()
    await database.close()
  }
}
