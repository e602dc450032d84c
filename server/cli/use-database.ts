import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'
import { createAuth, openSigningKey, type Auth } from '../auth/auth.ts'
import type { Config } from '../config.ts'
import { openDatabase, type Database, type OwnSchema } from '../db/db.ts'

/**
 * Runs `work` on the database of the configuration: through the running server's socket when the embedded one is in
 * use, alone when it is not. Errors: `not_running` when there is no database yet and `create` is not set.
 */
export async function useDatabase<T>(
  config: Config,
  work: (database: Database) => Promise<T>,
  options: { readonly create?: boolean; readonly own?: OwnSchema } = {},
): Promise<T> {
  if (config.database.kind === 'embedded' && !options.create && !existsSync(join(config.database.dataDir, 'pgdata'))) {
    throw new TideError('not_running', `There is no database in ${config.database.dataDir}.`, {
      remedy: 'Make one with `npx tidewire start` (or `npx tidewire migrate`), or set TIDEWIRE_DATA or DATABASE_URL.',
    })
  }
  const database = await openDatabase(config, { mode: 'either', own: options.own })
  try {
    return await work(database)
  } catch (error) {
    throw isUndefinedTable(error)
      ? new TideError('not_running', 'The database has no schema yet, or an older one.', {
          remedy: 'Make it with `npx tidewire migrate`.',
          cause: error,
        })
      : error
  } finally {
    await database.close()
  }
}

/** SQLSTATE of a relation that does not exist. */
function isUndefinedTable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '42P01'
}

/** The auth room on a database, with the configured key. */
export async function openAuth(config: Config, { pool }: Database): Promise<Auth> {
  return createAuth({
    pool,
    key: await openSigningKey(config.auth, systemRandom),
    clock: systemClock,
    random: systemRandom,
  })
}
