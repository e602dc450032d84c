import { z } from 'zod'
import type { Config } from '../config.ts'
import { formatBytes, type HealthCheck } from '../telemetry/telemetry.ts'
import type { DatabaseJob } from './command.ts'
import { exitCodes, table } from './console.ts'

/** Facts about what is in the database, in the order they are shown. */
const factsSql = `
select
  (select count(*) from organizations where deleted_at is null)::integer as organizations,
  (select count(*) from users where deleted_at is null)::integer as users,
  (select count(*) from agents where deleted_at is null)::integer as agents,
  (select count(*) from devices where deleted_at is null and revoked_at is null)::integer as devices,
  (select count(*) from devices where last_seen_at > now() - interval '1 hour')::integer as devices_seen_in_the_last_hour,
  (select count(*) from sync_mutations where received_at > now() - interval '1 day')::integer as writes_of_the_last_day,
  (select count(*) from sync_conflicts where status = 'open')::integer as open_conflicts,
  (select max(seq) from sync_changes)::text as newest_commit,
  (select pruned_through_seq::text from sync_heads where id = 1) as pruned_through,
  (select round(extract(epoch from clock_timestamp() - max(occurred_at)))::integer from sync_changes where channel = 'canary') as seconds_since_canary,
  pg_size_pretty(pg_database_size(current_database())) as size`

const readySchema = z.object({
  ready: z.boolean(),
  connections: z.number(),
  version: z.string(),
  checks: z.array(
    z.object({
      name: z.enum(['database', 'canary', 'capture', 'slot', 'redis', 'retention', 'pool', 'upkeep']),
      ok: z.boolean(),
      essential: z.boolean(),
      value: z.number().nullable(),
      limit: z.number().nullable(),
      unit: z.enum(['ms', 'bytes', 's', 'requests']).nullable(),
      detail: z.string(),
    }),
  ),
})
type Ready = z.infer<typeof readySchema>

/**
 * What a server on the configured port says of itself; `why` when none does, and whether something else answers there.
 */
type ServerState =
  | ({ readonly url: string } & Ready)
  | { readonly url: string; readonly answers: boolean; readonly why: string }

/**
 * How the running server is, part by part, and what is in the database. Returns 1 when a part of the health is not
 * well; no server is no fault, for the database can be asked without one.
 */
export async function status({ database, config, console }: DatabaseJob): Promise<number> {
  const [server, { rows }] = await Promise.all([
    askServer(config),
    database.pool.query<Record<string, string | number | null>>(factsSql),
  ])
  const where = config.database.kind === 'embedded' ? `embedded, ${config.database.dataDir}` : 'Postgres'
  const facts = { database: where, capture: config.capture, ...rows[0] }
  console.answer(
    { server, ...facts },
    [
      ...serverLines(server),
      '',
      table(
        ['in the database', 'value'],
        Object.entries(facts).map(([name, value]) => [name.replaceAll('_', ' '), value]),
      ),
    ].join('\n'),
  )
  return 'ready' in server && server.checks.some(({ ok }) => !ok) ? exitCodes.failed : exitCodes.ok
}

/** Asks the server of the configuration how it is. */
export async function askServer({ host, port }: Pick<Config, 'host' | 'port'>): Promise<ServerState> {
  // A server that listens on every address is asked on this machine's own.
  const name = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host
  const url = `http://${name}:${port}`
  try {
    const response = await fetch(`${url}/ready`, { signal: AbortSignal.timeout(5000) })
    return { url, ...readySchema.parse(await response.json()) }
  } catch (error) {
    if (error instanceof z.ZodError || error instanceof SyntaxError)
      return { url, answers: true, why: 'something answers there, but it is no Tidewire server of this version' }
    return { url, answers: false, why: 'no server answers there' }
  }
}

function serverLines(server: ServerState): readonly string[] {
  if (!('ready' in server))
    return [`${server.url}: ${server.why}. Start one with \`npx tidewire start\`, or set HOST and PORT to where it is.`]
  const { url, ready, version, connections, checks } = server
  const wrong = checks.filter(({ ok }) => !ok)
  const state = !ready ? 'NOT READY' : wrong.length > 0 ? 'ready, but look at what is marked' : 'ready'
  return [
    `${url}: ${state} (version ${version}, ${connections} connection${connections === 1 ? '' : 's'})`,
    '',
    table(
      ['health', '', 'measured', 'well up to', 'what it is'],
      checks.map((check) => [
        check.name,
        check.ok ? 'ok' : check.essential ? 'FAILED' : 'LOOK',
        measured(check.value, check.unit),
        measured(check.limit, check.unit),
        check.detail,
      ]),
    ),
  ]
}

/** A figure as people read it; undefined when there is none. */
function measured(value: number | null, unit: HealthCheck['unit']): string | undefined {
  if (value === null || unit === null) return undefined
  if (unit === 'bytes') return formatBytes(value)
  if (unit === 's') return duration(value)
  if (unit === 'ms') return value < 1000 ? `${Math.round(value)} ms` : duration(value / 1000)
  return String(value)
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Number(seconds.toFixed(1))} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} days`
}
