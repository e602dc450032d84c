/**
 * How often passwords may be tried: counted in the database for all servers together, before the password is looked at,
 * and the same whether or not the account exists. Nobody is locked out by others: where an account was signed in to
 * before, and from where nobody else tries, its password always works.
 */
import { createHash } from 'node:crypto'
import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { networkOf } from '../../lib/ip-address.ts'
import { TideError } from '../../protocol/error.ts'

const windowMs = 15 * 60 * 1000
/**
 * Wrong passwords within the window: from one place, from there for one account, and for one account from places that
 * are new to it.
 */
const most = { place: 100, pair: 10, account: 50 } as const

export interface SignInTry {
  readonly email: string
  /** Of the client, as `clientAddress` gives it; those that are not known are one place. */
  readonly ipAddress?: string | undefined
}

export interface SignInTries {
  /** Counts a try. Throws `rate_limited` when there were too many; then nothing else is to be done. */
  begin(given: SignInTry): Promise<void>
  /** It was the right password: the try does not count. */
  succeeded(given: SignInTry): Promise<void>
}

/**
 * $1 keys, $2 now, $3 the length of the window, milliseconds. In order, so that two never wait for each other in a
 * circle.
 */
const countSql = `
with counted as (
  insert into sync.sign_in_tries as t (key, tries, since)
  select key, 1, to_timestamp($2::double precision / 1000) from unnest($1::bytea[]) as key order by key
  on conflict (key) do update set
    tries = case when t.since + make_interval(secs => $3::double precision / 1000) <= excluded.since then 1 else least(t.tries + 1, 1000000) end,
    since = case when t.since + make_interval(secs => $3::double precision / 1000) <= excluded.since then excluded.since else t.since end
  returning key, tries, since
)
select c.tries, extract(epoch from c.since)::double precision * 1000 as since
from unnest($1::bytea[]) with ordinality as asked(key, place) join counted c on c.key = asked.key order by asked.place`

/** $1 the address of the account, $2 the place. A session that was taken away says nothing of who has the account. */
const familiarSql = `
select exists (
  select from auth_sessions s join users u on u.id = s.user_id
  where u.email = lower($1) and u.deleted_at is null and s.ip_address <<= $2::inet and (s.revoked_at is null or s.revoke_reason = 'signed out')
) as familiar`

/** $1 the key of the pair, $2 the others. */
const successSql = `
with pair as (delete from sync.sign_in_tries where key = $1)
update sync.sign_in_tries set tries = greatest(tries - 1, 0)
where key in (select key from sync.sign_in_tries where key = any($2::bytea[]) order by key for update)`

interface Counted {
  readonly tries: number
  readonly since: number
}

export function createSignInTries({ pool, clock }: { readonly pool: pg.Pool; readonly clock: Clock }): SignInTries {
  const count = async (keys: readonly Buffer[]): Promise<readonly Counted[]> =>
    (await pool.query<Counted>(countSql, [keys, clock.now(), windowMs])).rows
  const check = (counted: Counted | undefined, allowed: number): void => {
    if (!counted || counted.tries <= allowed) return
    const retryAfterMs = Math.max(1000, counted.since + windowMs - clock.now())
    throw new TideError(
      'rate_limited',
      `There were too many wrong passwords; wait ${Math.ceil(retryAfterMs / 1000)} s.`,
      {
        retryAfterMs,
      },
    )
  }
  return {
    async begin(given) {
      const { place, pair, account, network } = keysOf(given)
      // First, so that one place makes no more rows than it has tries.
      check((await count([place]))[0], most.place)
      const [ofPair, ofAccount] = await count([pair, account])
      check(ofPair, most.pair)
      if (!ofAccount || ofAccount.tries <= most.account) return
      const { rows } = await pool.query<{ readonly familiar: boolean }>(familiarSql, [given.email, network ?? null])
      if (rows[0]?.familiar !== true) check(ofAccount, most.account)
    },
    async succeeded(given) {
      const { place, pair, account } = keysOf(given)
      await pool.query(successSql, [pair, [place, account]])
    },
  }
}

function keysOf({ email, ipAddress }: SignInTry) {
  const network = ipAddress === undefined ? undefined : networkOf(ipAddress)
  const key = (...parts: readonly string[]): Buffer => createHash('sha256').update(JSON.stringify(parts)).digest()
  const [from, who] = [network ?? '', email.toLowerCase()]
  return { network, place: key('place', from), pair: key('pair', from, who), account: key('account', who) }
}
