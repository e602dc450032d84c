import { systemClock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import { shippedActions } from '../actions/actions.ts'
import { checkScopes } from '../scope/token-scopes.ts'
import type { DatabaseJob } from './command.ts'
import { findPrincipal, type PrincipalQuery } from './find-principal.ts'
import { openAuth } from './use-database.ts'

export interface TokenOptions extends PrincipalQuery {
  /** How long it is good for, in seconds; an hour when absent, 90 days of an access token. */
  readonly ttl?: number
  /** One that can be revoked. */
  readonly access?: boolean
  /** Of an access token, to tell several apart. */
  readonly name?: string
  /** What an access token is limited to. */
  readonly scope?: readonly string[]
}

const hour = 3600

/** Prints a token, alone on standard output. */
export async function token(
  { database, config, console, application }: DatabaseJob,
  { ttl, access = false, name, scope = [], ...query }: TokenOptions,
): Promise<void> {
  if (!access && (name !== undefined || scope.length > 0))
    throw new TideError('invalid_value', '--name and --scope are of access tokens.', { remedy: 'Add --access.' })
  if (access && !name)
    throw new TideError('invalid_value', 'An access token needs a name.', { remedy: 'Add --name, e.g. --name CI.' })
  checkScopes(
    scope,
    [...shippedActions, ...(application.actions ?? [])].map((action) => action.name),
  )
  const principal = await findPrincipal(database.pool, query)
  const auth = await openAuth(config, database)
  const ttlSeconds = ttl ?? (access ? 90 * 24 * hour : hour)
  const issued =
    name === undefined
      ? await auth.issueToken(principal, ttlSeconds)
      : await auth.issueAccessToken(principal, name, { ttlSeconds, scopes: scope })
  console.answer(
    { token: issued, principal, expiresAt: new Date(systemClock.now() + ttlSeconds * 1000).toISOString() },
    issued,
  )
}
