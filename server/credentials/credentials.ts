/**
 * Secrets of third parties (provider keys, OAuth tokens, webhook secrets): stored encrypted, listed without their
 * content, and never part of what is synced.
 */
import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import { TideError } from '../../protocol/error.ts'
import { insertRow } from '../db/db.ts'
import type { Cipher } from './cipher.ts'
import type { CredentialKind } from './credential-kinds.ts'

export { createCipher, type Cipher, type EncryptionKey } from './cipher.ts'
export type { CredentialKind } from './credential-kinds.ts'

type Queryable = Pick<pg.Pool, 'query'>

/** Names one living credential. */
export interface CredentialName {
  readonly organizationId: string
  /** Null: of the organization. */
  readonly userId: string | null
  /** `openrouter`, `github`, … */
  readonly provider: string
  readonly kind: CredentialKind
  readonly label: string
}

export interface CredentialSecret {
  readonly secret: string
  /** Refresh token, of OAuth. */
  readonly refresh?: string | undefined
  readonly expiresAt?: Date | undefined
  /** Whose it is at the platform; of an application of OAuth: its client id. */
  readonly account?: string | undefined
  /** Of an application of OAuth whose tokens are renewed elsewhere than at github.com or linear.app. */
  readonly tokenUrl?: string | undefined
}

/** A token of OAuth that ends soon, for the one who is to renew it. */
export interface ExpiringCredential {
  readonly id: string
  readonly organizationId: string
  readonly provider: string
  readonly refresh: string
}

/** What may be shown of a credential. */
export interface CredentialSummary extends CredentialName {
  readonly id: string
  /** The end of a secret that is long enough for that to give nothing away. */
  readonly lastFour: string | null
  readonly keyId: string
  /** What its usage of a month (UTC) may cost, US dollars; null: any. */
  readonly spendLimitUsd: number | null
  readonly expiresAt: Date | null
  readonly lastUsedAt: Date | null
  readonly lastRotatedAt: Date | null
}

export interface Rotation {
  readonly rotated: number
  /** Ids of credentials that could not be decrypted. */
  readonly unreadable: readonly string[]
}

export interface Credentials {
  /**
   * Stores a secret, in the place of a living one of the same name. Returns its id. Throws `encryption_unavailable`.
   */
  store(name: CredentialName, secret: CredentialSecret): Promise<string>
  /**
   * Throws `not_found`, `credential_expired`, `secret_unreadable`, `spend_limit_reached`. Reading is audited, at most
   * once a minute.
   */
  read(name: CredentialName): Promise<CredentialSecret>
  /** Of the organization's own, by id. Throws as `read`. */
  readById(organizationId: string, id: string): Promise<CredentialSecret>
  /** The same in a transaction of somebody's: the embedded database would wait for itself otherwise. */
  within(client: Queryable): Pick<Credentials, 'read'>
  list(organizationId: string): Promise<readonly CredentialSummary[]>
  /**
   * A token of OAuth of these providers that can be renewed and ends within `aheadMs`; nobody else is given it for
   * `leaseMs`. Throws `secret_unreadable`.
   */
  claimExpiring(providers: readonly string[], aheadMs: number, leaseMs: number): Promise<ExpiringCredential | undefined>
  /** Puts what the platform gave in the place of a living token. */
  renew(id: string, secret: CredentialSecret): Promise<void>
  /** Nobody tries to renew it for so long. */
  postpone(id: string, ms: number): Promise<void>
  /** What its usage of a month (UTC) may cost from now on, US dollars; null: any. Audited. Throws `not_found`. */
  limit(organizationId: string, id: string, spendLimitUsd: number | null): Promise<void>
  /** Ends a credential and destroys its secret. Throws `not_found`. */
  revoke(organizationId: string, id: string): Promise<void>
  /**
   * Encrypts anew, with the first key, whatever is encrypted with another. Each row in a transaction of its own, so it
   * may be stopped and run again. What cannot be read is left as it is and named: its key must not be thrown away.
   */
  rotate(onProgress?: (done: number, of: number) => void): Promise<Rotation>
}

export interface CredentialsDeps {
  readonly pool: Queryable
  /** Where refusals are recorded when `pool` is a transaction: the refusal may end it. */
  readonly refusals?: Queryable
  readonly cipher: Cipher
  readonly clock: Clock
  readonly random: Random
}

interface StoredRow {
  readonly id: string
  readonly secret_ciphertext: Buffer
  readonly refresh_ciphertext: Buffer | null
  readonly key_id: string
  readonly expires_at: Date | null
  readonly account_label: string | null
  readonly token_url: string | null
}

const storedColumns = `id, secret_ciphertext, refresh_ciphertext, key_id, expires_at, account_label, metadata ->> 'tokenUrl' as token_url`

const livingSql = `
select ${storedColumns} from credentials
where organization_id = $1 and user_id is not distinct from $2 and provider = $3 and kind = $4 and label = $5 and revoked_at is null`

const byIdSql = `
select ${storedColumns} from credentials
where organization_id = $1 and id = $2 and user_id is null and revoked_at is null`

const listSql = `
select id, organization_id as "organizationId", user_id as "userId", provider, kind, label, last_four as "lastFour", key_id as "keyId",
  spend_limit_usd::float8 as "spendLimitUsd", expires_at as "expiresAt", last_used_at as "lastUsedAt", last_rotated_at as "lastRotatedAt"
from credentials where organization_id = $1 and revoked_at is null order by provider, kind, label, id`

const replaceSql = `
update credentials set secret_ciphertext = $2, refresh_ciphertext = $3, key_id = $4, fingerprint = $5, last_four = $6,
  expires_at = $7, account_label = coalesce($8, account_label), metadata = (metadata - 'renewAfter') || $9::jsonb, last_rotated_at = now(),
  updated_at = now() where id = $1 and revoked_at is null`

/** $1 providers, $2 before when they end, $3 now, $4 until when nobody else has it. */
const claimExpiringSql = `
update credentials c set metadata = c.metadata || jsonb_build_object('renewAfter', $4::timestamptz) from (
  select id from credentials
  where kind = 'oauth_token' and provider = any ($1) and expires_at < $2 and refresh_ciphertext is not null and revoked_at is null
    and coalesce((metadata ->> 'renewAfter')::timestamptz <= $3, true)
  order by expires_at, id limit 1 for update skip locked
) due where c.id = due.id
returning c.id, c.organization_id as "organizationId", c.provider, c.refresh_ciphertext as refresh, c.key_id as "keyId"`

/** The ciphertext that was read is part of the condition: a secret that was stored meanwhile stays. */
const rotateSql = `
update credentials set secret_ciphertext = $2, refresh_ciphertext = $3, key_id = $4, fingerprint = $5, updated_at = now()
where id = $1 and secret_ciphertext = $6`

/** Recorded use, and its audit row with it: not each use of a key that is needed all the time. */
const usedSql = `
with used as (
  update credentials set last_used_at = now() where id = $1 and (last_used_at is null or last_used_at < now() - interval '1 minute')
  returning id, organization_id, provider, kind, label
)
insert into audit_logs (organization_id, action, table_name, row_id, details)
select organization_id, 'credential.read', 'credentials', id, jsonb_build_object('provider', provider, 'kind', kind, 'label', label) from used`

/** What its usage of this month (UTC) has cost, where it has a limit. */
const spentSql = `
select c.spend_limit_usd::float8 as "limit", (
  select coalesce(sum(u.cost_usd), 0)::float8 from token_usages u
  where u.credential_id = c.id and u.occurred_at >= date_trunc('month', now() at time zone 'UTC') at time zone 'UTC'
) as spent
from credentials c where c.id = $1 and c.spend_limit_usd is not null`

const deniedSql = `
insert into audit_logs (organization_id, action, table_name, row_id, outcome, details)
select organization_id, 'credential.read', 'credentials', id, 'denied',
  jsonb_build_object('provider', provider, 'kind', kind, 'label', label, 'userId', user_id, 'limitUsd', $2::float8, 'spentUsd', $3::float8)
from credentials where id = $1`

export function createCredentials({ pool, refusals, cipher, clock, random }: CredentialsDeps): Credentials {
  const newId = createUuidSource(clock, random)

  const seal = (id: string, { secret, refresh }: CredentialSecret) => {
    const sealed = cipher.seal(secret, placeOf(id, 'secret'))
    return {
      secret: sealed.ciphertext,
      refresh: refresh === undefined ? null : cipher.seal(refresh, placeOf(id, 'refresh')).ciphertext,
      keyId: sealed.keyId,
      fingerprint: cipher.fingerprint(secret),
    }
  }
  const unseal = ({ id, key_id: keyId, ...row }: StoredRow): CredentialSecret => ({
    secret: cipher.open({ keyId, ciphertext: row.secret_ciphertext }, placeOf(id, 'secret')),
    refresh:
      row.refresh_ciphertext === null
        ? undefined
        : cipher.open({ keyId, ciphertext: row.refresh_ciphertext }, placeOf(id, 'refresh')),
    expiresAt: row.expires_at ?? undefined,
    account: row.account_label ?? undefined,
    tokenUrl: row.token_url ?? undefined,
  })
  const living = async (name: CredentialName): Promise<StoredRow | undefined> =>
    (await pool.query<StoredRow>(livingSql, keyOf(name))).rows[0]

  const within = (client: Queryable): Pick<Credentials, 'read'> => ({
    async read(name) {
      // Writers may not read the table; the server may.
      const { rows } = await client.query<{ role: string }>(`select current_setting('role') as role`)
      await client.query(`select set_config('role', 'none', true)`)
      try {
        return await createCredentials({ pool: client, refusals: pool, cipher, clock, random }).read(name)
      } finally {
        // It fails only where the transaction has failed, and then nothing more is done in it.
        await client.query(`select set_config('role', $1, true)`, [rows[0]?.role]).catch(() => undefined)
      }
    },
  })

  return { store, read, within, readById, list, claimExpiring, renew, postpone, limit, revoke, rotate }

  async function store(name: CredentialName, given: CredentialSecret): Promise<string> {
    if (given.secret === '') throw new TideError('invalid_value', 'The secret is empty.')
    const known = await living(name)
    const id = known?.id ?? newId()
    const { secret, refresh, keyId, fingerprint } = seal(id, given)
    if (known) await replace(id, given)
    else {
      const inserted = await insertRow(pool, 'credentials', {
        id,
        organization_id: name.organizationId,
        user_id: name.userId,
        provider: name.provider,
        kind: name.kind,
        label: name.label,
        secret_ciphertext: secret,
        refresh_ciphertext: refresh,
        key_id: keyId,
        fingerprint,
        last_four: lastFourOf(given),
        expires_at: given.expiresAt ?? null,
        account_label: given.account ?? null,
        metadata: metadataOf(given),
      })
      // Somebody else was faster under this name: theirs is replaced.
      if (!inserted) return store(name, given)
    }
    return id
  }

  async function replace(id: string, given: CredentialSecret): Promise<void> {
    const { secret, refresh, keyId, fingerprint } = seal(id, given)
    await pool.query(replaceSql, [
      ...[id, secret, refresh, keyId, fingerprint, lastFourOf(given)],
      ...[given.expiresAt ?? null, given.account ?? null, metadataOf(given)],
    ])
  }

  async function claimExpiring(
    providers: readonly string[],
    aheadMs: number,
    leaseMs: number,
  ): Promise<ExpiringCredential | undefined> {
    const now = clock.now()
    const { rows } = await pool.query<Omit<ExpiringCredential, 'refresh'> & { refresh: Buffer; keyId: string }>(
      claimExpiringSql,
      [providers, new Date(now + aheadMs), new Date(now), new Date(now + leaseMs)],
    )
    const [row] = rows
    if (!row) return undefined
    const { keyId, refresh: ciphertext, ...rest } = row
    return { ...rest, refresh: cipher.open({ keyId, ciphertext }, placeOf(row.id, 'refresh')) }
  }

  async function renew(id: string, given: CredentialSecret): Promise<void> {
    await replace(id, given)
  }

  async function postpone(id: string, ms: number): Promise<void> {
    await pool.query(
      `update credentials set metadata = metadata || jsonb_build_object('renewAfter', $2::timestamptz) where id = $1`,
      [id, new Date(clock.now() + ms)],
    )
  }

  async function read(name: CredentialName): Promise<CredentialSecret> {
    const row = await living(name)
    if (!row)
      throw new TideError('not_found', `There is no ${name.kind} "${name.label}" of ${name.provider}.`, {
        remedy: 'Store it with `npx tidewire credentials set`.',
      })
    return use(row)
  }

  async function readById(organizationId: string, id: string): Promise<CredentialSecret> {
    const { rows } = await pool.query<StoredRow>(byIdSql, [organizationId, id])
    const [row] = rows
    if (!row) throw new TideError('not_found', `The organization has no living credential ${id}.`)
    return use(row)
  }

  async function use(row: StoredRow): Promise<CredentialSecret> {
    if (row.expires_at !== null && row.expires_at.getTime() <= clock.now())
      throw new TideError('credential_expired', `Credential ${row.id} has ended at ${row.expires_at.toISOString()}.`)
    await checkSpent(row.id)
    const secret = unseal(row)
    await pool.query(usedSql, [row.id])
    return secret
  }

  async function checkSpent(id: string): Promise<void> {
    const { rows } = await pool.query<{ readonly limit: number; readonly spent: number }>(spentSql, [id])
    const [figures] = rows
    if (!figures || figures.spent < figures.limit) return
    const { limit, spent } = figures
    const denied = [id, limit, spent]
    // Not waited for: the embedded database does one transaction after the other. The refusal stands without its
    // record.
    if (refusals) void refusals.query(deniedSql, denied).catch(() => undefined)
    else await pool.query(deniedSql, denied)
    throw new TideError(
      'spend_limit_reached',
      `Credential ${id} has a limit of ${limit} USD a month, and its usage of this month has cost ${spent} USD.`,
    )
  }

  async function list(organizationId: string): Promise<readonly CredentialSummary[]> {
    return (await pool.query<CredentialSummary>(listSql, [organizationId])).rows
  }

  async function limit(organizationId: string, id: string, spendLimitUsd: number | null): Promise<void> {
    const { rowCount } = await pool.query(
      `update credentials set spend_limit_usd = $3, updated_at = now() where id = $1 and organization_id = $2 and revoked_at is null`,
      [id, organizationId, spendLimitUsd],
    )
    if (!rowCount) throw noLiving(id)
  }

  async function revoke(organizationId: string, id: string): Promise<void> {
    // What stands in for the secret opens to nothing.
    const { rowCount } = await pool.query(
      `update credentials set revoked_at = now(), updated_at = now(), secret_ciphertext = $3, refresh_ciphertext = null, last_four = null
         where id = $1 and organization_id = $2 and revoked_at is null`,
      [id, organizationId, Buffer.alloc(29)],
    )
    if (!rowCount) throw noLiving(id)
  }

  async function rotate(onProgress: (done: number, of: number) => void = () => undefined): Promise<Rotation> {
    const { rows } = await pool.query<StoredRow>(
      `select ${storedColumns} from credentials where revoked_at is null order by id`,
    )
    const old = rows.filter(({ key_id: keyId }) => !cipher.isCurrent(keyId))
    const unreadable: string[] = []
    for (const [index, row] of old.entries()) {
      const plain = tryUnseal(row)
      if (plain) {
        const { secret, refresh, keyId, fingerprint } = seal(row.id, plain)
        await pool.query(rotateSql, [row.id, secret, refresh, keyId, fingerprint, row.secret_ciphertext])
      } else unreadable.push(row.id)
      onProgress(index + 1, old.length)
    }
    return { rotated: old.length - unreadable.length, unreadable }
  }

  function tryUnseal(row: StoredRow): CredentialSecret | undefined {
    try {
      return unseal(row)
    } catch (error) {
      if (error instanceof TideError && error.code === 'secret_unreadable') return undefined
      throw error
    }
  }
}

function placeOf(id: string, part: 'secret' | 'refresh'): string {
  return `credentials/${id}/${part}`
}

function lastFourOf({ secret }: CredentialSecret): string | null {
  return secret.length >= 16 ? secret.slice(-4) : null
}

function metadataOf({ tokenUrl }: CredentialSecret): string {
  return JSON.stringify(tokenUrl === undefined ? {} : { tokenUrl })
}

function keyOf({ organizationId, userId, provider, kind, label }: CredentialName): unknown[] {
  return [organizationId, userId, provider, kind, label]
}

function noLiving(id: string): TideError {
  return new TideError('not_found', `There is no living credential ${id} in this organization.`, {
    remedy: 'List them with `npx tidewire credentials`.',
  })
}
