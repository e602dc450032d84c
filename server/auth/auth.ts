/**
 * Who is speaking: from a token to an active principal of one organization.
 *
 * Two kinds of token mean the same. A JWT (`sub`, `kind`, `org`) is signed here with AUTH_SECRET, or elsewhere and
 * checked against AUTH_JWKS_URL; it cannot be revoked alone, so it should be short-lived. An access token `tw_…` is a
 * row of `access_tokens` and can. Neither says what its bearer may do: rights are read from the database each time.
 */
import { SignJWT, errors, jwtVerify, type JWTPayload } from 'jose'
import type pg from 'pg'
import { z } from 'zod'
import { Batcher } from '../../lib/batcher.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import { TideError } from '../../protocol/error.ts'
import { insertRow } from '../db/db.ts'
import type { Principal, TokenFacts } from '../scope/principal.ts'
import { hashAccessToken, isAccessToken, makeAccessToken } from './access-token.ts'
import type { SigningKey } from './signing-key.ts'
import { VerifiedTokens } from './verified-tokens.ts'

export { createDeviceStandings, type DeviceStandings, type Standing } from './device-standings.ts'
export { createDeviceRegistry, type DeviceRegistry } from './devices.ts'
export { anonymiseUser, deactivateUser } from './leaving.ts'
export { createSignIn, type SignIn } from './sign-in.ts'
export { openSigningKey, type SigningKey } from './signing-key.ts'

export interface Authenticated extends Principal, TokenFacts {
  /** Milliseconds since 1970; of a token without end, far in the future. */
  readonly expiresAt: number
}

export interface Auth {
  /** Checks token, principal, membership and organization. Errors: `token_invalid`, `token_expired`. */
  authenticate(token: string): Promise<Authenticated>
  /**
   * Signs a JWT; one of a session (`auth_sessions`) is good only as long as that is. Errors: `forbidden` when tokens
   * are signed elsewhere (AUTH_JWKS_URL).
   */
  issueToken(principal: Principal, ttlSeconds: number, sessionId?: string): Promise<string>
  /** Makes a revocable token; it is shown once and cannot be read again. The scopes were checked (`checkScopes`). */
  issueAccessToken(principal: Principal, name: string, options?: AccessTokenOptions): Promise<string>
}

export interface AccessTokenOptions {
  /** Absent: it has no end. */
  readonly ttlSeconds?: number | undefined
  /** None: all that its principal may do. */
  readonly scopes?: readonly string[] | undefined
}

export interface AuthDeps {
  readonly pool: pg.Pool
  readonly key: SigningKey
  readonly clock: Clock
  readonly random: Random
}

const issuer = 'tidewire'
/** The end of year 9999: what a token without end is said to expire at. */
const never = 253_402_300_799_000
const clockToleranceSeconds = 5

const claimsSchema = z.object({
  sub: z.uuid(),
  kind: z.enum(['user', 'agent']),
  org: z.uuid(),
  exp: z.number(),
  /** Of ours only: other issuers have sessions of their own. */
  sid: z.string().optional(),
})

export function createAuth(deps: AuthDeps): Auth {
  const active = new Batcher<Principal, boolean>((principals) => areActive(principals, deps.pool))
  /** What a signature vouches for; whether the session is still open it does not say. */
  const verified = new VerifiedTokens<Authenticated>(deps.clock)
  const checkActive = async (authenticated: Authenticated): Promise<Authenticated> => {
    if (await active.ask(authenticated)) return authenticated
    throw invalid(`its ${authenticated.kind} is not active in organization ${authenticated.organizationId}`)
  }
  return {
    async authenticate(token) {
      if (isAccessToken(token)) return checkActive(await readAccessToken(token, deps))
      const authenticated = verified.get(token) ?? verified.keep(token, await readJwt(token, deps))
      const { sessionId } = authenticated
      if (sessionId !== undefined && !(await isOpen(sessionId, deps.pool))) throw invalid('its session has ended')
      return checkActive(authenticated)
    },
    async issueToken(principal, ttlSeconds, sessionId) {
      if (deps.key.kind === 'remote') {
        throw new TideError('forbidden', 'Tokens are signed elsewhere: AUTH_JWKS_URL is set.', {
          remedy: 'Get the token from whoever holds the keys, or set AUTH_SECRET instead.',
        })
      }
      const now = Math.floor(deps.clock.now() / 1000)
      return new SignJWT({ kind: principal.kind, org: principal.organizationId, sid: sessionId })
        .setProtectedHeader({ alg: 'HS256' })
        .setIssuer(issuer)
        .setSubject(principal.id)
        .setIssuedAt(now)
        .setExpirationTime(now + ttlSeconds)
        .sign(deps.key.bytes)
    },
    async issueAccessToken(principal, name, { ttlSeconds, scopes = [] } = {}) {
      const { token, prefix, hash } = makeAccessToken(deps.random)
      const owner = principal.kind === 'user' ? { user_id: principal.id } : { agent_id: principal.id }
      await insertRow(deps.pool, 'access_tokens', {
        id: createUuidSource(deps.clock, deps.random)(),
        organization_id: principal.organizationId,
        ...owner,
        name,
        token_hash: hash,
        token_prefix: prefix,
        scopes: [...scopes],
        expires_at: ttlSeconds === undefined ? null : new Date(deps.clock.now() + ttlSeconds * 1000),
      })
      return token
    },
  }
}

async function readJwt(token: string, { key, clock }: AuthDeps): Promise<Authenticated> {
  const payload = await verify(token, key, clock)
  const claims = claimsSchema.safeParse(payload)
  if (!claims.success) throw invalid('it lacks one of the claims sub, kind, org and exp')
  const { sub, kind, org, exp, sid } = claims.data
  const authenticated = { id: sub, kind, organizationId: org, expiresAt: exp * 1000 }
  return sid !== undefined && key.kind === 'secret' ? { ...authenticated, sessionId: sid } : authenticated
}

/** Who holds the key may write any text there; what is not an id is no session. */
const openSession = `
select 1 from auth_sessions where id = case when $1 ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then $1::uuid end and revoked_at is null`

async function isOpen(sessionId: string, pool: pg.Pool): Promise<boolean> {
  const { rowCount } = await pool.query(openSession, [sessionId])
  return rowCount === 1
}

async function verify(token: string, key: SigningKey, clock: Clock): Promise<JWTPayload> {
  const options = { currentDate: new Date(clock.now()), clockTolerance: clockToleranceSeconds }
  try {
    const { payload } =
      key.kind === 'secret'
        ? await jwtVerify(token, key.bytes, { ...options, algorithms: ['HS256'], issuer })
        : await jwtVerify(token, key.keys, {
            ...options,
            algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
            issuer: key.issuer,
            audience: key.audience,
          })
    return payload
  } catch (cause) {
    if (cause instanceof errors.JWTExpired)
      throw new TideError('token_expired', 'The token is past its end.', { cause })
    throw invalid(cause instanceof Error ? cause.message : 'it cannot be read', cause)
  }
}

interface TokenRow {
  readonly id: string
  readonly organization_id: string
  readonly user_id: string | null
  readonly agent_id: string | null
  readonly expires_at: Date | null
  readonly revoked_at: Date | null
  readonly scopes: readonly string[]
}

async function readAccessToken(token: string, { pool, clock }: AuthDeps): Promise<Authenticated> {
  const { rows } = await pool.query<TokenRow>(
    'select id, organization_id, user_id, agent_id, expires_at, revoked_at, scopes from sync.authenticate_token($1)',
    [hashAccessToken(token)],
  )
  const [row] = rows
  if (!row) throw invalid('it is unknown')
  if (row.revoked_at) throw invalid('it was revoked')
  const expiresAt = row.expires_at?.getTime() ?? never
  if (expiresAt <= clock.now()) throw new TideError('token_expired', 'The token is past its end.')
  // Once a minute is enough to tell which tokens are still in use.
  await pool.query(
    `update access_tokens set last_used_at = now() where id = $1 and (last_used_at is null or last_used_at < now() - interval '1 minute')`,
    [row.id],
  )
  return {
    kind: row.user_id ? 'user' : 'agent',
    id: row.user_id ?? row.agent_id ?? '',
    organizationId: row.organization_id,
    expiresAt,
    tokenId: row.id,
    ...(row.scopes.length === 0 ? {} : { scopes: row.scopes }),
  }
}

/** In the order asked. */
async function areActive(principals: readonly Principal[], pool: pg.Pool): Promise<readonly boolean[]> {
  const { rows } = await pool.query<{ active: boolean }>({
    name: 'active_principals',
    text: activePrincipals,
    values: [
      principals.map(({ kind }) => kind),
      principals.map(({ organizationId }) => organizationId),
      principals.map(({ id }) => id),
    ],
  })
  return rows.map(({ active }) => active)
}

const activePrincipals = `
select case asked.kind when 'user' then exists (
    select from organization_members m join users u on u.id = m.user_id and u.status = 'active' and u.deleted_at is null
    where m.organization_id = asked.organization_id and m.user_id = asked.id and m.status = 'active' and m.deleted_at is null
  ) else exists (
    select from agents a
    where a.organization_id = asked.organization_id and a.id = asked.id and a.lifecycle = 'active' and a.deleted_at is null
  ) end and exists (
    select from organizations o where o.id = asked.organization_id and o.status = 'active' and o.deleted_at is null
  ) as active
from unnest($1::text[], $2::uuid[], $3::uuid[]) with ordinality as asked(kind, organization_id, id, place)
order by asked.place`

function invalid(why: string, cause?: unknown): TideError {
  return new TideError('token_invalid', `The token is refused: ${why}.`, cause === undefined ? {} : { cause })
}
