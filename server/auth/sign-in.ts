/**
 * Signing in with a password: a short-lived JWT for the sync connection, and a refresh token that is good for one use
 * (`refresh-tokens.ts`). Both belong to one `auth_sessions` row: when that is revoked, open connections end too.
 */
import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import { TideError } from '../../protocol/error.ts'
import { insertRow } from '../db/db.ts'
import type { Principal } from '../scope/principal.ts'
import { acceptInvitation, type Acceptance } from './accept-invitation.ts'
import { hashPassword, isPassword } from './password.ts'
import { endSession, makeRefreshToken, parseRefreshToken, rotate, type RefreshToken } from './refresh-tokens.ts'
import { createSignInTries } from './sign-in-tries.ts'

export interface SignedIn {
  /** JWT for `connect`, good for 15 minutes. */
  readonly token: string
  readonly tokenExpiresAt: number
  /** For `refresh`, once, within 30 days; once more within a minute, if the answer was lost. */
  readonly refreshToken: string
  readonly principal: Principal
  readonly mustChangePassword: boolean
}

export interface SignInRequest {
  readonly email: string
  readonly password: string
  /** Slug; needed by members of several organizations. */
  readonly organization?: string | undefined
  /** Of the caller: tries are counted by it, and it is kept in the list of sessions. */
  readonly ipAddress?: string | undefined
  readonly userAgent?: string | undefined
}

export interface SignIn {
  /**
   * Throws `sign_in_refused`, `rate_limited` after too many wrong passwords, `not_found` when the user is not of the
   * organization, `invalid_value` when it must be named.
   */
  signIn(request: SignInRequest): Promise<SignedIn>
  /** Joins the organization of an invitation and signs in there. Throws as `acceptInvitation` does. */
  accept(acceptance: Acceptance & Pick<SignInRequest, 'ipAddress' | 'userAgent'>): Promise<SignedIn>
  /**
   * A new pair for a refresh token, which is used up. Throws `token_invalid`; the session has ended then if the token
   * was used before, more than a minute ago or by somebody else.
   */
  refresh(refreshToken: string): Promise<SignedIn>
  /** Ends the session of a refresh token; one that is unknown has ended already. */
  signOut(refreshToken: string): Promise<void>
  /** Throws `sign_in_refused`, `rate_limited`, `invalid_value`. */
  changePassword(request: {
    readonly email: string
    readonly password: string
    readonly newPassword: string
    readonly ipAddress?: string | undefined
  }): Promise<void>
  /** Sets a user's password and ends their sessions. Throws `invalid_value`. */
  setPassword(userId: string, password: string, options?: { readonly mustChange?: boolean }): Promise<void>
}

export interface SignInDeps {
  readonly pool: pg.Pool
  /** Signs a JWT of a session, good for so many seconds. */
  readonly auth: { issueToken(principal: Principal, ttlSeconds: number, sessionId: string): Promise<string> }
  readonly clock: Clock
  readonly random: Random
}

const tokenSeconds = 15 * 60
const refreshMs = 30 * 24 * 3600 * 1000

interface Account {
  readonly user_id: string
  readonly password_hash: string | null
  readonly locked_until: Date | null
  readonly must_change: boolean | null
}

const accountSql = `
select u.id as user_id, c.password_hash, c.locked_until, c.must_change
from users u left join user_credentials c on c.user_id = u.id
where u.email = lower($1) and u.status = 'active' and u.deleted_at is null`

/** Of an unknown address nothing is kept: it may be a password in the wrong place. */
const refusedSql = `
with failed as (update user_credentials set failed_attempts = failed_attempts + 1 where user_id = $1)
insert into audit_logs (actor_user_id, action, table_name, row_id, outcome, ip_address, details)
values ($1, 'sign_in', 'users', $1, 'denied', $2, jsonb_build_object('reason', $3::text))`

const successSql = `
with reset as (update user_credentials set failed_attempts = 0 where user_id = $1)
update users set last_login_at = now() where id = $1`

const organizationsSql = `
select organization_id as id, slug from sync.memberships_of($1) where $2::text is null or slug = $2 order by slug`

const setPasswordSql = `
with ended as (
  update auth_sessions set revoked_at = now(), revoke_reason = 'password changed', updated_at = now() where user_id = $2 and revoked_at is null
)
insert into user_credentials (id, user_id, password_hash, must_change) values ($1, $2, $3, $4)
on conflict (user_id) do update set password_hash = excluded.password_hash, must_change = excluded.must_change,
  password_changed_at = now(), failed_attempts = 0, locked_until = null, updated_at = now()`

export function createSignIn({ pool, auth, clock, random }: SignInDeps): SignIn {
  const newId = createUuidSource(clock, random)
  const tries = createSignInTries({ pool, clock })

  async function organizationOf(userId: string, slug: string | undefined): Promise<string> {
    const { rows } = await pool.query<{ readonly id: string; readonly slug: string }>(organizationsSql, [
      userId,
      slug ?? null,
    ])
    const [first, ...others] = rows
    if (!first)
      throw new TideError(
        'not_found',
        slug === undefined ? 'The user belongs to no organization.' : `The user is no member of organization ${slug}.`,
      )
    if (others.length > 0)
      throw new TideError(
        'invalid_value',
        `The user is a member of several organizations: ${rows.map((row) => row.slug).join(', ')}.`,
        {
          remedy: 'Name one.',
        },
      )
    return first.id
  }

  async function answer(
    principal: Principal,
    sessionId: string,
    refreshToken: RefreshToken,
    mustChange: boolean,
  ): Promise<SignedIn> {
    const token = await auth.issueToken(principal, tokenSeconds, sessionId)
    return {
      token,
      tokenExpiresAt: clock.now() + tokenSeconds * 1000,
      refreshToken: refreshToken.text,
      principal,
      mustChangePassword: mustChange,
    }
  }

  /**
   * The account of a right password. Of an unknown address and of an account that an operator has locked it says the
   * same as of a wrong password, after the same work.
   */
  async function check(email: string, password: string, ipAddress: string | undefined): Promise<Account> {
    await tries.begin({ email, ipAddress })
    const { rows } = await pool.query<Account>(accountSql, [email])
    const [account] = rows
    const isRight = await isPassword(password, account?.password_hash ?? undefined)
    const isLocked = (account?.locked_until?.getTime() ?? 0) > clock.now()
    if (!account || !isRight || isLocked) {
      const reason = account ? (isLocked ? 'locked' : 'password') : 'unknown'
      await pool.query(refusedSql, [account?.user_id ?? null, ipAddress ?? null, reason])
      throw new TideError('sign_in_refused', 'The e-mail address or the password is wrong.')
    }
    await Promise.all([pool.query(successSql, [account.user_id]), tries.succeeded({ email, ipAddress })])
    return account
  }

  async function setPassword(userId: string, password: string, { mustChange = false } = {}): Promise<void> {
    const passwordHash = await hashPassword(password)
    await pool.query(setPasswordSql, [newId(), userId, passwordHash, mustChange])
  }

  const signIn: SignIn = {
    async signIn({ email, password, organization, ipAddress, userAgent }) {
      const account = await check(email, password, ipAddress)
      const organizationId = await organizationOf(account.user_id, organization)
      const refreshToken = makeRefreshToken(organizationId, random)
      const id = newId()
      await insertRow(pool, 'auth_sessions', {
        id,
        user_id: account.user_id,
        refresh_token_hash: refreshToken.hash,
        family_token_hash: refreshToken.familyHash,
        expires_at: new Date(clock.now() + refreshMs),
        ip_address: ipAddress ?? null,
        user_agent: userAgent?.slice(0, 400) ?? null,
      })
      return answer(
        { kind: 'user', id: account.user_id, organizationId },
        id,
        refreshToken,
        account.must_change ?? false,
      )
    },

    async accept({ ipAddress, userAgent, ...acceptance }) {
      const { email, organization } = await acceptInvitation(
        { pool, clock, random, check: (address, password) => check(address, password, ipAddress) },
        acceptance,
      )
      return signIn.signIn({ email, organization, password: acceptance.password, ipAddress, userAgent })
    },

    async refresh(refreshToken) {
      const now = clock.now()
      const { session, next } = await rotate(pool, parseRefreshToken(refreshToken), {
        ...{ now, until: now + refreshMs, random },
      })
      const principal = { kind: 'user', id: session.user_id, organizationId: next.organizationId } as const
      return answer(principal, session.id, next, session.must_change ?? false)
    },

    async signOut(refreshToken) {
      await endSession(pool, parseRefreshToken(refreshToken))
    },

    async changePassword({ email, password, newPassword, ipAddress }) {
      const { user_id: userId } = await check(email, password, ipAddress)
      await setPassword(userId, newPassword)
    },

    setPassword,
  }
  return signIn
}
