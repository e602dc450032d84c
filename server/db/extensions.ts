import type pg from 'pg'
import { TideError } from '../../protocol/error.ts'

/**
 * What the first migration makes; `vector` is not trusted, so where the login is no superuser an administrator makes it
 * before.
 */
export const neededExtensions = ['vector', 'pg_trgm', 'pgcrypto', 'btree_gin'] as const

/** Extensions that a database lacks, and what to do. */
export interface MissingExtensions {
  readonly names: readonly string[]
  readonly fix: string
}

interface Missing {
  readonly name: string
  readonly database: string
  /** Its files are where Postgres runs. */
  readonly available: boolean
}

/** Undefined: all are there. */
export async function findMissingExtensions(
  client: Pick<pg.Pool | pg.Client, 'query'>,
): Promise<MissingExtensions | undefined> {
  const { rows } = await client.query<Missing>(
    `select name, current_database() as database, exists (select from pg_available_extensions a where a.name = needed.name) as available
     from unnest($1::text[]) as needed(name) where not exists (select from pg_extension e where e.extname = needed.name)`,
    [neededExtensions],
  )
  const [first] = rows
  if (!first) return undefined
  const absent = rows.filter(({ available }) => !available).map(({ name }) => name)
  const install = `Install the packages of Postgres that have ${absent.join(', ')} (pgvector and contrib). `
  const statements = rows.map(({ name }) => `CREATE EXTENSION IF NOT EXISTS "${name}";`).join(' ')
  return {
    names: rows.map(({ name }) => name),
    fix: `${absent.length > 0 ? install : ''}Run \`npx tidewire migrate\`; where its login may not make them, first have an administrator run in the database ${first.database}: ${statements}`,
  }
}

/** Why one cannot be made, by SQLSTATE. */
const reasons: ReadonlyMap<string, string> = new Map([
  ['42501', 'its login may not make them'],
  ['0A000', 'not all of their files are where Postgres runs'],
  ['58P01', 'not all of their files are where Postgres runs'],
])

/** Of a migration that failed: with what to do, where the reason is an extension that could not be made. */
export async function explainExtensions(client: pg.Client, error: unknown): Promise<unknown> {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const reason = typeof code === 'string' ? reasons.get(code) : undefined
  if (reason === undefined) return error
  const missing = await findMissingExtensions(client)
  if (!missing) return error
  return new TideError(
    'extension_missing',
    `The database lacks extensions (${missing.names.join(', ')}), and ${reason}.`,
    {
      remedy: missing.fix,
      cause: error,
    },
  )
}
