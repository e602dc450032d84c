import { systemClock } from '../../lib/clock.ts'
import type { DatabaseJob } from './command.ts'
import { findPrincipal, type PrincipalQuery } from './find-principal.ts'
import { openAuth } from './use-database.ts'

export interface TokenOptions extends PrincipalQuery {
  /** How long it is good for, in seconds. */
  readonly ttl?: number
}

/** Prints a token, alone on standard output. */
export async function token(
  { database, config, console }: DatabaseJob,
  { ttl, ...query }: Required<Pick<TokenOptions, 'ttl'>> & PrincipalQuery,
): Promise<void> {
  const principal = await findPrincipal(database.pool, query)
  const auth = await openAuth(config, database)
  const issued = await auth.issueToken(principal, ttl)
  console.answer(
    { token: issued, principal, expiresAt: new Date(systemClock.now() + ttl * 1000).toISOString() },
    issued,
  )
}
