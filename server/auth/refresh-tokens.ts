/**
 * Refresh tokens: `twr_<organization>_<family>.<secret>`. A session is one line of them: each is good for one use,
 * which gives the next. All of a line share the family, which only they carry, so that whoever presents one of them
 * proves to have held one.
 *
 *     T1 ── used ──▶ T2 ── used ──▶ T3        the newest is good
 *     T1 again within a minute of its use ──▶ T2'    the answer was lost: T2 is void, and the line goes on from T2'
 *     T1 again later, or T2 after T2' ──▶ the session ends
 *
 * So there is never more than one token that is good for longer than that minute; and where two hold a line, thief and
 * owner, one of them comes with a token that is void, and both are out (RFC 9700, 4.14.2).
 */
import { createHash } from 'node:crypto'
import type pg from 'pg'
import type { Random } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'

export interface RefreshToken {
  /** What its holder keeps. */
  readonly text: string
  /** Its session is the user's; for which organization, the token says. */
  readonly organizationId: string
  readonly family: string
  readonly hash: Buffer
  readonly familyHash: Buffer
}

export interface RotatedSession {
  readonly id: string
  readonly user_id: string
  readonly must_change: boolean | null
}

/** How long a token that was used may be used again, for want of the answer. Milliseconds. */
const repeatMs = 60_000
const secretBytes = 32

/** The first of a line. */
export function makeRefreshToken(organizationId: string, random: Random): RefreshToken {
  return nextOf(organizationId, secret(random), random)
}

/** Throws `token_invalid` when it is none. What is stored of it are hashes. */
export function parseRefreshToken(text: string): RefreshToken {
  const [, organizationId, family] = /^twr_([0-9a-f-]{36})_([^.]+)/.exec(text) ?? []
  if (organizationId === undefined || family === undefined)
    throw new TideError('token_invalid', 'This is not a refresh token.', { remedy: 'Sign in again.' })
  return { text, organizationId, family, hash: hashOf(text), familyHash: hashOf(family) }
}

/**
 * The newest token of a session; that of before, for a minute. Their use by two at the same time is decided by the
 * row's lock.
 */
const isNewest = 's.refresh_token_hash = $2'
const isRepeat = `s.previous_token_hash = $2 and s.rotated_at > to_timestamp(($5::float8 - ${repeatMs}) / 1000)`
const isGood = `(${isNewest} or coalesce(${isRepeat}, false))`

/**
 * $1 family and $2 hash of the token that is used, $3 hash of the next one, $4 its end and $5 now, in milliseconds. A
 * token from before there were families is known by its hash, and is the family of those that follow.
 */
const rotateSql = `
update auth_sessions s set
  refresh_token_hash = case when ${isGood} then $3 else s.refresh_token_hash end,
  previous_token_hash = case when ${isNewest} then $2 else s.previous_token_hash end,
  family_token_hash = case when ${isNewest} then $1 else s.family_token_hash end,
  rotated_at = case when ${isNewest} then to_timestamp($5::float8 / 1000) else s.rotated_at end,
  expires_at = case when ${isGood} then to_timestamp($4::float8 / 1000) else s.expires_at end,
  revoked_at = case when ${isGood} then null else to_timestamp($5::float8 / 1000) end,
  revoke_reason = case when ${isGood} then null else 'refresh token used again' end,
  last_used_at = now(), updated_at = now()
where (s.family_token_hash = $1 or s.refresh_token_hash = $2) and s.revoked_at is null and s.expires_at > to_timestamp($5::float8 / 1000)
returning s.id, s.user_id, s.revoked_at is not null as ended, (select must_change from user_credentials c where c.user_id = s.user_id) as must_change`

/**
 * Uses a token: its session, and the next token. Throws `token_invalid`; where the token was used before, its session
 * has ended by then.
 */
export async function rotate(
  pool: pg.Pool,
  used: RefreshToken,
  { now, until, random }: { readonly now: number; readonly until: number; readonly random: Random },
): Promise<{ readonly session: RotatedSession; readonly next: RefreshToken }> {
  const next = nextOf(used.organizationId, used.family, random)
  const { rows } = await pool.query<RotatedSession & { readonly ended: boolean }>(rotateSql, [
    used.familyHash,
    used.hash,
    next.hash,
    until,
    now,
  ])
  const [session] = rows
  if (session && !session.ended) return { session, next }
  throw new TideError(
    'token_invalid',
    session
      ? 'The refresh token was used before; the session has ended, since somebody else may hold its tokens.'
      : 'The refresh token has expired, or its session has ended.',
    { remedy: 'Sign in again.' },
  )
}

/** Ends the session of any token of its line; one that is unknown has ended already. */
export async function endSession(pool: pg.Pool, { hash, familyHash }: RefreshToken): Promise<void> {
  await pool.query(
    `update auth_sessions set revoked_at = now(), revoke_reason = 'signed out', updated_at = now()
     where (family_token_hash = $1 or refresh_token_hash = $2) and revoked_at is null`,
    [familyHash, hash],
  )
}

function nextOf(organizationId: string, family: string, random: Random): RefreshToken {
  return parseRefreshToken(`twr_${organizationId}_${family}.${secret(random)}`)
}

function secret(random: Random): string {
  return Buffer.from(random.bytes(secretBytes)).toString('base64url')
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
