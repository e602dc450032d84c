import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import type { Config } from '../config.ts'
import type { Database } from '../db/db.ts'
import { seedDemo } from '../maintenance/maintenance.ts'
import { table, type Console } from './console.ts'
import { findPrincipal, type PrincipalQuery } from './find-principal.ts'
import { openAuth } from './use-database.ts'

export async function migrate(database: Database, config: Config, console: Console): Promise<void> {
  const applied = await database.migrate((name) => console.progress(`Applying ${name}`), config.embedding.dimension)
  console.answer(
    { applied },
    applied.length === 0
      ? 'Nothing to do: the schema is current.'
      : `Applied ${applied.length} migration${applied.length === 1 ? '' : 's'}.`,
  )
}

export async function rollback(database: Database, console: Console): Promise<void> {
  const reverted = (await database.rollback()) ?? null
  console.answer(
    { reverted },
    reverted === null ? 'Nothing to revert: no migration is applied.' : `Reverted ${reverted}.`,
  )
}

/** Brings the schema up to date first, so that a fresh database can be seeded at once. */
export async function seed(database: Database, config: Config, console: Console): Promise<void> {
  await database.migrate((name) => console.progress(`Applying ${name}`), config.embedding.dimension)
  const demo = await seedDemo(database.pool, {
    clock: systemClock,
    random: systemRandom,
    dimension: config.embedding.dimension,
  })
  console.answer(
    demo,
    demo.created
      ? 'Made organization demo with ada@example.com, ben@example.com, eve@example.com and agent scout.'
      : 'Organization demo is there already; nothing was changed.',
  )
}

export async function token(
  database: Database,
  config: Config,
  query: PrincipalQuery,
  ttlSeconds: number,
  console: Console,
): Promise<void> {
  const principal = await findPrincipal(database.pool, query)
  const auth = await openAuth(config, database)
  const issued = await auth.issueToken(principal, ttlSeconds)
  console.answer(
    { token: issued, principal, expiresAt: new Date(systemClock.now() + ttlSeconds * 1000).toISOString() },
    issued,
  )
}

const statusSql = `
select
  (select count(*) from organizations where deleted_at is null)::integer as organizations,
  (select count(*) from users where deleted_at is null)::integer as users,
  (select count(*) from agents where deleted_at is null)::integer as agents,
  (select count(*) from devices where deleted_at is null and revoked_at is null)::integer as devices,
  (select count(*) from devices where last_seen_at > now() - interval '1 hour')::integer as devices_seen_in_the_last_hour,
  (select count(*) from sync_mutations where received_at > now() - interval '1 day')::integer as writes_of_the_last_day,
  (select count(*) from sync_conflicts where status = 'open')::integer as open_conflicts,
  (select max(seq) from sync_changes)::text as newest_commit,
  (select pruned_through_seq from sync_heads where id = 1)::text as pruned_through,
  (select round(extract(epoch from clock_timestamp() - max(occurred_at)))::integer from sync_changes where channel = 'canary' ) as seconds_since_canary,
  pg_size_pretty(pg_database_size(current_database())) as size`

export async function status(database: Database, config: Config, console: Console): Promise<void> {
  const { rows } = await database.pool.query<Record<string, string | number | null>>(statusSql)
  const where =
    config.database.kind === 'embedded'
      ? `embedded, ${config.database.dataDir}${database.attached ? ', server running' : ', no server running'}`
      : 'Postgres'
  const facts = { database: where, ...rows[0] }
  console.answer(
    facts,
    table(
      ['what', 'value'],
      Object.entries(facts).map(([name, value]) => [name.replaceAll('_', ' '), value]),
    ),
  )
}
