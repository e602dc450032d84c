import { systemClock } from '../../lib/clock.ts'
import { walRequirements } from '../capture/capture.ts'
import { findMissingExtensions, migrationNames, neededExtensions, type Database } from '../db/db.ts'
import type { DatabaseJob } from './command.ts'
import { exitCodes } from './console.ts'
import { askServer } from './status.ts'

/** One thing that was looked at. `fix` says what to do when it is not as it should be. */
export interface Finding {
  readonly what: string
  readonly ok: boolean
  readonly found: string
  readonly fix?: string
}

type Check = (job: DatabaseJob) => Promise<readonly Finding[]>

const wantedRoles = ['app_owner', 'app_rw', 'app_feed', 'app_readonly']
const oldestPostgres = 150_000
const tolerableClockMs = 2000
const migrateFirst = 'Run `npx tidewire migrate`.'

/** Looks at everything the server needs and prints each finding with its fix. Returns the exit code. */
export async function doctor(job: DatabaseJob): Promise<number> {
  const findings: Finding[] = []
  for (const check of checks) {
    try {
      findings.push(...(await check(job)))
    } catch (error) {
      findings.push({
        what: check.name,
        ok: false,
        found: error instanceof Error ? error.message : String(error),
        fix: 'Mend what the findings above name first.',
      })
    }
  }
  const lines = findings.map(
    ({ what, ok, found, fix }) =>
      `${ok ? 'ok     ' : 'PROBLEM'} ${what}: ${found}${ok || fix === undefined ? '' : `\n        → ${fix}`}`,
  )
  const wrong = findings.filter(({ ok }) => !ok).length
  job.console.answer(
    { ok: wrong === 0, findings },
    [...lines, wrong === 0 ? 'All is well.' : `${wrong} to mend.`].join('\n'),
  )
  return wrong === 0 ? exitCodes.ok : exitCodes.failed
}

const checks: readonly Check[] = [
  connection,
  version,
  extensions,
  migrations,
  schemaDrift,
  roles,
  clock,
  capture,
  triggers,
  embeddingDimension,
  server,
]

async function one<T extends object>(database: Database, sql: string, values: readonly unknown[] = []): Promise<T> {
  const { rows } = await database.pool.query<T>(sql, [...values])
  const [row] = rows
  if (!row) throw new Error('The database answered without a row.')
  return row
}

async function connection({ database, config }: DatabaseJob): Promise<readonly Finding[]> {
  const started = systemClock.monotonic()
  await database.pool.query('select 1')
  const ms = Math.round(systemClock.monotonic() - started)
  const where =
    config.database.kind === 'postgres'
      ? 'Postgres'
      : database.attached
        ? 'embedded, through the running server'
        : 'embedded, no server running'
  return [{ what: 'connection', ok: true, found: `${where}, answers in ${ms} ms` }]
}

async function version({ database }: DatabaseJob): Promise<readonly Finding[]> {
  const { number, text } = await one<{ number: number; text: string }>(
    database,
    `select current_setting('server_version_num')::integer as number, current_setting('server_version') as text`,
  )
  return [{ what: 'Postgres version', ok: number >= oldestPostgres, found: text, fix: 'Use PostgreSQL 15 or later.' }]
}

async function extensions({ database }: DatabaseJob): Promise<readonly Finding[]> {
  const missing = await findMissingExtensions(database.pool)
  const what = 'extensions'
  return missing
    ? [{ what, ok: false, found: `without ${missing.names.join(', ')}`, fix: missing.fix }]
    : [{ what, ok: true, found: neededExtensions.join(', ') }]
}

async function migrations({ database, application }: DatabaseJob): Promise<readonly Finding[]> {
  const { migrator } = await database.orm()
  const pending = await migrator.getPending()
  const known = new Set(await migrationNames(application))
  const unknown = (await migrator.getExecuted()).map(({ name }) => name).filter((name) => !known.has(name))
  return [
    ...(unknown.length === 0
      ? []
      : [
          {
            what: 'migrations of others',
            ok: false,
            found: `${unknown.join(', ')} in the database, not known here`,
            fix: 'Name the application that has them (--app FILE or TIDEWIRE_APP), or use the version of Tidewire that has them.',
          },
        ]),
    {
      what: 'migrations',
      ok: pending.length === 0,
      found: pending.length === 0 ? 'all applied' : `${pending.length} not applied`,
      fix: migrateFirst,
    },
  ]
}

async function schemaDrift({ database }: DatabaseJob): Promise<readonly Finding[]> {
  const { migrator, schema } = await database.orm()
  // What a migration brings that is not applied yet is no drift.
  if ((await migrator.getPending()).length > 0) return []
  const difference = (await schema.getUpdateSchemaSQL({ wrap: false })).trim()
  return [
    {
      what: 'schema',
      ok: difference === '',
      found:
        difference === ''
          ? 'as the entities say'
          : `differs:\n${difference
              .split('\n')
              .map((line) => `          ${line}`)
              .join('\n')}`,
      fix: 'Somebody changed the schema by hand, or a migration is missing: make both agree.',
    },
  ]
}

/** What is known of the roles and the login; asks for nothing that only a migrated database has. */
export interface RolesStanding {
  readonly missing: readonly string[]
  readonly login: string
  /** It may make roles, so `migrate` does. */
  readonly may_make: boolean
  /** It may become `app_rw`. */
  readonly may_write: boolean
}

const rolesSql = `
select array(select name from unnest($1::text[]) as name where to_regrole(name) is null) as missing, quote_ident(session_user) as login,
  (select rolsuper or rolcreaterole from pg_roles where rolname = session_user) as may_make,
  coalesce(pg_has_role(session_user, to_regrole('app_rw')::oid,
    case when current_setting('server_version_num')::integer >= 160000 then 'SET' else 'MEMBER' end), false) as may_write`

async function roles({ database }: DatabaseJob): Promise<readonly Finding[]> {
  return [judgeRoles(await one<RolesStanding>(database, rolesSql, [wantedRoles]))]
}

/** The server works without them, but then nothing stands behind its own rules. */
export function judgeRoles({ missing, login, may_make: mayMake, may_write: mayWrite }: RolesStanding): Finding {
  const what = 'roles'
  const without = `without ${missing.join(', ')}`
  if (missing.length === 0 && mayWrite)
    return { what, ok: true, found: `${wantedRoles.join(', ')}; writes run under app_rw` }
  if (missing.length > 0 && mayMake)
    return { what, ok: false, found: without, fix: 'Run `npx tidewire migrate`: it makes them.' }
  const statements = [
    ...missing.map((name) => `create role ${name} nologin`),
    ...(mayWrite ? [] : [`grant app_rw to ${login}`]),
  ]
  return {
    what,
    ok: false,
    found:
      missing.length > 0
        ? `${without}: ${login} may not create roles`
        : `${login} may not take the role app_rw, so writes run without row-level security`,
    fix: `Have an administrator run \`${statements.join('; ')};\`, then run \`npx tidewire migrate\`.`,
  }
}

async function clock({ database }: DatabaseJob): Promise<readonly Finding[]> {
  const { ms } = await one<{ ms: number }>(
    database,
    'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
  )
  const difference = Math.round(ms - systemClock.now())
  return [
    {
      what: 'clock',
      ok: Math.abs(difference) < tolerableClockMs,
      found: `the database is ${Math.abs(difference)} ms ${difference < 0 ? 'behind' : 'ahead'}`,
      fix: 'Run NTP on both machines.',
    },
  ]
}

async function capture(job: DatabaseJob): Promise<readonly Finding[]> {
  return job.config.capture === 'wal' ? walCapture(job) : triggerCapture(job)
}

/** What the server makes by itself at its next start is no problem, but a lost slot is: replicas will start over. */
async function walCapture({ database }: DatabaseJob): Promise<readonly Finding[]> {
  const findings = await walRequirements(database.pool)
  return findings.map(({ what, ok, found, fix }) => ({
    what: what === 'capture' ? what : `capture: ${what}`,
    ok,
    found,
    fix,
  }))
}

async function triggerCapture({ database, catalog }: DatabaseJob): Promise<readonly Finding[]> {
  const { rows } = await database.pool.query<{ name: string; captured: boolean }>(
    `select c.relname as name, exists (
       select from pg_trigger t where t.tgrelid = c.oid and t.tgname like 'capture%' and t.tgenabled <> 'D' and not t.tgisinternal
     ) as captured
     from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname = any($1) order by 1`,
    [
      [...catalog.synced.values()]
        .filter(({ sqlColumns }) => sqlColumns.some(({ property }) => property === 'channel'))
        .map(({ name }) => name),
    ],
  )
  if (rows.length === 0) return [{ what: 'capture', ok: false, found: 'no tables yet', fix: migrateFirst }]
  const missing = rows.filter(({ captured }) => !captured).map(({ name }) => name)
  return [
    {
      what: 'capture',
      ok: missing.length === 0,
      found: missing.length === 0 ? `triggers on ${rows.length} tables` : `no trigger on ${missing.join(', ')}`,
      fix: `Run in the database: \`select ${missing.map((name) => `sync.install_capture('${name}')`).join(', ')};\``,
    },
  ]
}

const silencedSql = `
select quote_ident(c.relname) as name, array_agg(t.tgname::text order by t.tgname) as triggers
from pg_trigger t join pg_class c on c.oid = t.tgrelid
where c.relnamespace = 'public'::regnamespace and t.tgname ~ '^(a_channel$|b_touch$|log_)' and t.tgenabled <> 'A'
group by 1 order by 1`

/** Those that tell of changes, whichever way these are captured; the ones of capture itself are its own finding. */
async function triggers({ database }: DatabaseJob): Promise<readonly Finding[]> {
  const { rows } = await database.pool.query<{ name: string; triggers: readonly string[] }>(silencedSql)
  const mend = rows.map(
    (table) =>
      `alter table ${table.name} ${table.triggers.map((trigger) => `enable always trigger ${trigger}`).join(', ')};`,
  )
  return [
    {
      what: 'triggers',
      ok: rows.length === 0,
      found:
        rows.length === 0
          ? 'those that tell of changes fire always'
          : `do not fire always: ${rows.map((table) => `${table.name} (${table.triggers.join(', ')})`).join(', ')}`,
      fix: `Run in the database: \`${mend.join(' ')}\` The server notices, and replicas start over.`,
    },
  ]
}

async function embeddingDimension({ database, config }: DatabaseJob): Promise<readonly Finding[]> {
  const what = 'embedding dimension'
  const wanted = config.embedding.dimension
  const { dimension } = await one<{ dimension: number | null }>(
    database,
    `select (select atttypmod from pg_attribute where attrelid = to_regclass('public.memories') and attname = 'embedding') as dimension`,
  )
  if (dimension === null)
    return [
      {
        what,
        ok: false,
        found: 'no tables yet',
        fix: `Set EMBEDDING_DIMENSION, now ${wanted}, to that of your model, then run \`npx tidewire migrate\`: from then on it is fixed.`,
      },
    ]
  return [
    {
      what,
      ok: dimension === wanted,
      found:
        dimension === wanted ? String(dimension) : `${dimension} in the database, ${wanted} in EMBEDDING_DIMENSION`,
      fix: `Set EMBEDDING_DIMENSION=${dimension}: vectors of another dimension need a new database.`,
    },
  ]
}

async function server({ config }: DatabaseJob): Promise<readonly Finding[]> {
  const state = await askServer(config)
  if (!('ready' in state))
    return [
      {
        what: 'server',
        ok: !state.answers,
        found: `${state.url}: ${state.why}`,
        fix: 'Set HOST and PORT to where the server is, or end what answers there.',
      },
    ]
  return [
    {
      what: 'server',
      ok: state.ready,
      found: `${state.url} is ${state.ready ? 'ready' : 'not ready'}`,
      fix: 'Run `npx tidewire status`: it names the part that is not well.',
    },
  ]
}
