import { text as readText } from 'node:stream/consumers'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'
import type { Config } from '../config.ts'
import type { Database } from '../db/db.ts'
import { createCipher, createCredentials, type CredentialKind, type Credentials } from '../credentials/credentials.ts'
import { exitCodes, table, type Console } from './console.ts'
import { findOrganization, findPrincipal } from './find-principal.ts'

export interface CredentialOptions {
  readonly provider: string
  readonly kind: CredentialKind
  readonly label: string
  readonly user?: string
  readonly org?: string
  readonly expires?: Date
  readonly refresh?: boolean
  readonly account?: string
  readonly tokenUrl?: string
}

function open(database: Database, config: Config): Credentials {
  return createCredentials({
    pool: database.pool,
    cipher: createCipher(config.encryptionKeys, systemRandom),
    clock: systemClock,
    random: systemRandom,
  })
}

/** Lists what is stored, without secrets. */
export async function listCredentials(
  database: Database,
  config: Config,
  org: string | undefined,
  console: Console,
): Promise<void> {
  const organization = await findOrganization(database.pool, org)
  const credentials = await open(database, config).list(organization)
  const lines = credentials.map((one) => [
    one.id,
    one.provider,
    one.kind,
    one.label,
    one.userId ?? 'organization',
    one.lastFour === null ? null : `…${one.lastFour}`,
    one.spendLimitUsd,
    one.expiresAt?.toISOString(),
    one.keyId,
  ])
  console.answer(
    { credentials },
    lines.length === 0
      ? 'No credentials.'
      : table(['id', 'provider', 'kind', 'label', 'of', 'ends in', 'USD a month', 'expires', 'key'], lines),
  )
}

/** The secret comes from standard input: arguments are seen by everybody on the machine. */
export async function setCredential(
  database: Database,
  config: Config,
  options: CredentialOptions,
  console: Console,
): Promise<void> {
  const { provider, kind, label, user, org, expires, account, tokenUrl } = options
  const owner =
    user === undefined ? undefined : await findPrincipal(database.pool, { user, ...(org === undefined ? {} : { org }) })
  const organizationId = owner?.organizationId ?? (await findOrganization(database.pool, org))
  if (process.stdin.isTTY) console.progress('Type the secret, then Ctrl-D on a line of its own:')
  const given = (await readText(process.stdin)).trim()
  const [secret, refresh] = options.refresh === true ? given.split(/\r?\n/) : [given]
  if (options.refresh === true && !refresh)
    throw new TideError('invalid_value', 'Standard input has no second line with the refresh token.')
  const id = await open(database, config).store(
    { organizationId, userId: owner?.id ?? null, provider, kind, label },
    { secret: secret ?? '', refresh, expiresAt: expires, account, tokenUrl },
  )
  console.answer({ id }, `Stored as ${id}.`)
}

export async function revokeCredential(
  database: Database,
  config: Config,
  { id, org }: { readonly id: string; readonly org: string | undefined },
  console: Console,
): Promise<void> {
  checkId(id)
  await open(database, config).revoke(await findOrganization(database.pool, org), id)
  console.answer({ revoked: id }, `Revoked ${id}; its secret is destroyed.`)
}

/** `usd`: what its usage of a month may cost; null: any. */
export async function limitCredential(
  database: Database,
  config: Config,
  { id, usd, org }: { readonly id: string; readonly usd: number | null; readonly org: string | undefined },
  console: Console,
): Promise<void> {
  checkId(id)
  await open(database, config).limit(await findOrganization(database.pool, org), id, usd)
  console.answer(
    { id, spendLimitUsd: usd },
    usd === null ? `${id} has no limit.` : `${id} is not handed out in a month after its usage has cost ${usd} USD.`,
  )
}

function checkId(id: string): void {
  if (!/^[0-9a-f-]{36}$/i.test(id))
    throw new TideError('invalid_value', `${JSON.stringify(id)} is not the id of a credential.`)
}

/** After a new first key was put into ENCRYPTION_KEYS: when this has ended, the old one may be taken out. */
export async function rotateCredentials(database: Database, config: Config, console: Console): Promise<number> {
  const { rotated, unreadable } = await open(database, config).rotate((done, of) =>
    console.progress(`${done} of ${of}`),
  )
  console.answer(
    { rotated, unreadable },
    [
      rotated === 0 ? 'Nothing to do: all are encrypted with the first key.' : `Encrypted ${rotated} anew.`,
      ...unreadable.map((id) => `${id} cannot be decrypted with any of the keys: store it anew, or put its key back.`),
    ].join('\n'),
  )
  return unreadable.length === 0 ? exitCodes.ok : exitCodes.failed
}
