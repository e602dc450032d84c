import { escapeLiteral } from 'pg'
import { TideError } from '../../protocol/error.ts'
import type { TokenFacts } from './principal.ts'
import type { TransactionCondition } from './transaction.ts'

/**
 * That the database has the token as it was when it was last looked at; otherwise `token_invalid`. Undefined for a JWT
 * without a session, of which nothing is stored. `now`: milliseconds since 1970, by which tokens end. No lock: an end
 * waits for nobody.
 */
export function tokenCondition(
  { scopes = [], tokenId, sessionId }: TokenFacts,
  now: number,
): TransactionCondition | undefined {
  if (tokenId !== undefined)
    return exists(`access_tokens where id = ${escapeLiteral(tokenId)} and revoked_at is null
      and (expires_at is null or expires_at > to_timestamp(${now / 1000}))
      and scopes = array[${scopes.map((scope) => escapeLiteral(scope)).join(', ')}]::text[]`)
  if (sessionId !== undefined)
    return exists(`auth_sessions where id = ${escapeLiteral(sessionId)} and revoked_at is null`)
  return undefined
}

function exists(row: string): TransactionCondition {
  return {
    sql: `select 1 from ${row}`,
    broken: () => new TideError('token_invalid', 'The token was revoked or changed, or its session has ended.'),
  }
}
