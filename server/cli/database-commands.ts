import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import type { Config } from '../config.ts'
import type { Database } from '../db/db.ts'
import { seedDemo, type DemoExtent } from '../maintenance/maintenance.ts'
import type { Console } from './console.ts'
import { findPrincipal, type PrincipalQuery } from './find-principal.ts'
import { openAuth } from './use-database.ts'

export async function migrate(database: Database, config: Config, console: Console): Promise<void> {
  const applied = await database.migrate((name) => console.progress(`Applying ${name}`), config.embedding)
  console.answer(
    { applied },
    applied.length === 0
      ? 'Nothing to do: the schema is current.'
      : `Applied ${applied.length} migration${applied.length === 1 ? '' : 's'}.`,
  )
}

export async function rollback(
  database: Database,
  { dryRun = false }: { readonly dryRun?: boolean },
  console: Console,
): Promise<void> {
  const reverted = (dryRun ? await newestMigration(database) : await database.rollback()) ?? null
  console.answer(
    { reverted, dryRun },
    reverted === null
      ? 'Nothing to revert: no migration is applied.'
      : dryRun
        ? `It would revert ${reverted}.`
        : `Reverted ${reverted}.`,
  )
}

async function newestMigration({ pool }: Database): Promise<string | undefined> {
  const { rows } = await pool.query<{ name: string }>('select name from mikro_orm_migrations order by id desc limit 1')
  return rows[0]?.name
}

/** Brings the schema up to date first, so that a fresh database can be seeded at once. */
export async function seed(
  database: Database,
  config: Config,
  extent: Exclude<DemoExtent, 'small'>,
  console: Console,
): Promise<void> {
  await database.migrate((name) => console.progress(`Applying ${name}`), config.embedding)
  const demo = await seedDemo(database.pool, {
    clock: systemClock,
    random: systemRandom,
    dimension: config.embedding.dimension,
    extent,
  })
  const [first, more] =
    extent === 'neighbours'
      ? ['Organizations demo and harbor are', ' Organization harbor is of hana@example.com.']
      : ['Organization demo is', '']
  console.answer(
    demo,
    demo.created
      ? `Organization demo has ada@example.com (owner), ben@, cy@ and eve@example.com, agents scout, pilot and critic, and projects demo and launch.${more}`
      : `${first} there already; nothing was changed.`,
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
