import { TideError } from '../../protocol/error.ts'
import { exitCodes, table, type Console } from './console.ts'
import type { DatabaseJob } from './command.ts'
import { findOrganization } from './find-principal.ts'

/** Whose: a row says it of itself. */
const holder = `coalesce((select u.email from users u where u.id = t.user_id), (select a.name from agents a where a.id = t.agent_id))`

const tokensSql = `
select t.id, t.name, ${holder} as of, t.token_prefix as prefix, t.scopes, t.expires_at as "expiresAt", t.last_used_at as "lastUsedAt"
from access_tokens t where t.organization_id = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > now())
order by t.created_at desc, t.id desc limit 1000`

const devicesSql = `
select t.id, t.name, t.kind, ${holder} as of, t.last_seen_at as "lastSeenAt", t.revoked_at as "revokedAt"
from devices t where t.organization_id = $1 and t.deleted_at is null
order by t.last_seen_at desc nulls last, t.id desc limit 1000`

const revocations = {
  token:
    'update access_tokens set revoked_at = now(), updated_at = now() where id = $1 and revoked_at is null returning name',
  device:
    'update devices set revoked_at = now() where id = $1 and revoked_at is null and deleted_at is null returning name',
} as const

interface TokenRow {
  readonly id: string
  readonly name: string
  readonly of: string | null
  readonly prefix: string
  readonly scopes: readonly string[]
  readonly expiresAt: Date | null
  readonly lastUsedAt: Date | null
}

interface DeviceRow {
  readonly id: string
  readonly name: string
  readonly kind: string
  readonly of: string | null
  readonly lastSeenAt: Date | null
  readonly revokedAt: Date | null
}

/** The access tokens that are good, newest first, at most 1000. */
export async function listTokens({ database, console }: DatabaseJob, org: string | undefined): Promise<void> {
  const { rows } = await database.pool.query<TokenRow>(tokensSql, [await findOrganization(database.pool, org)])
  const lines = rows.map(({ id, name, of, prefix, scopes, expiresAt, lastUsedAt }) => [
    id,
    name,
    of,
    `tw_${prefix}_…`,
    scopes.length === 0 ? 'all' : scopes.join(' '),
    expiresAt?.toISOString(),
    lastUsedAt?.toISOString(),
  ])
  answer(console, 'tokens', rows, [['id', 'name', 'of', 'begins', 'scopes', 'expires', 'last used'], ...lines])
}

/** The devices, those last seen first, at most 1000. */
export async function listDevices({ database, console }: DatabaseJob, org: string | undefined): Promise<void> {
  const { rows } = await database.pool.query<DeviceRow>(devicesSql, [await findOrganization(database.pool, org)])
  const lines = rows.map(({ id, name, kind, of, lastSeenAt, revokedAt }) => [
    id,
    name,
    kind,
    of,
    lastSeenAt?.toISOString(),
    revokedAt?.toISOString(),
  ])
  answer(console, 'devices', rows, [['id', 'name', 'kind', 'of', 'last seen', 'revoked'], ...lines])
}

function answer(
  console: Console,
  what: string,
  rows: readonly object[],
  [headings = [], ...lines]: ReadonlyArray<readonly unknown[]>,
): void {
  console.answer({ [what]: rows }, lines.length === 0 ? `No ${what}.` : table(headings.map(String), lines))
}

/** Ends what is open with it too, on every server. */
export async function revoke(
  { database, console }: DatabaseJob,
  what: keyof typeof revocations,
  id: string,
): Promise<number> {
  if (!/^[0-9a-f-]{36}$/i.test(id))
    throw new TideError('invalid_value', `${JSON.stringify(id)} is not the id of a ${what}.`)
  const { rows } = await database.pool.query<{ readonly name: string }>(revocations[what], [id])
  const [found] = rows
  if (!found)
    throw new TideError('not_found', `There is no ${what} ${id} that could be revoked.`, {
      remedy: `\`npx tidewire ${what}s\` lists them.`,
    })
  console.answer({ revoked: id }, `Revoked ${what} ${found.name} (${id}); its open connections end.`)
  return exitCodes.ok
}
