import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Credentials, ExpiringCredential } from '../credentials/credentials.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'
import { post } from './post.ts'

export interface RefreshDeps {
  readonly credentials: Credentials
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
  readonly allowPrivate: boolean
  readonly timeoutMs: number
}

/**
 * Where tokens of OAuth are renewed.
 * - GitHub:
 *   https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
 * - Linear: https://linear.app/developers/oauth-2-0-authentication
 */
const tokenUrls: ReadonlyMap<string, string> = new Map([
  ['github', 'https://github.com/login/oauth/access_token'],
  ['linear', 'https://api.linear.app/oauth/token'],
])

/** RFC 6749, 5.1 and 5.2. GitHub says 200 also when it refuses. */
const answerSchema = z.union([
  z.object({
    access_token: z.string().min(1),
    refresh_token: z.string().min(1).optional(),
    expires_in: z.number().positive().optional(),
  }),
  z.object({ error: z.string() }),
])

/** Tokens are renewed so long before they end. */
const aheadMs = 10 * 60_000
/** Whoever renews a token has it alone for so long: most platforms take a refresh token once. */
const leaseMs = 60_000
/** Then a renewal that failed is tried again: when the network was at fault, and when the platform refused. */
const [againMs, refusedMs] = [60_000, 3_600_000]

/** Renews one token of OAuth that ends soon. Returns false when there is none. */
export async function refreshOne({ credentials, clock, log, allowPrivate, timeoutMs }: RefreshDeps): Promise<boolean> {
  const expiring = await credentials.claimExpiring([...tokenUrls.keys()], aheadMs, leaseMs)
  if (!expiring) return false
  let again = againMs
  try {
    const { clientId, clientSecret, tokenUrl } = await clientOf(credentials, expiring)
    const answer = await post({
      url: tokenUrl,
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        accept: 'application/json',
        'user-agent': 'tidewire',
      },
      body: Buffer.from(
        new URLSearchParams({
          grant_type: 'refresh_token',
          refresh_token: expiring.refresh,
          client_id: clientId,
          client_secret: clientSecret,
        }).toString(),
      ),
      allowPrivate,
      timeoutMs,
    })
    const said = parse(answer.text)
    if (said === undefined || 'error' in said) {
      if (said !== undefined || (answer.status >= 400 && answer.status < 500)) again = refusedMs
      throw new Error(`The platform answered ${answer.status}${said === undefined ? '' : ` (${said.error})`}.`)
    }
    await credentials.renew(expiring.id, {
      secret: said.access_token,
      refresh: said.refresh_token ?? expiring.refresh,
      expiresAt: said.expires_in === undefined ? undefined : new Date(clock.now() + said.expires_in * 1000),
    })
  } catch (error) {
    if (error instanceof TideError) again = refusedMs
    await credentials.postpone(expiring.id, again)
    log.error('A credential could not be renewed', {
      credential: expiring.id,
      provider: expiring.provider,
      error: errorText(error),
    })
  }
  return true
}

/** The application that the token was given to, as it is registered at the platform. */
async function clientOf(credentials: Credentials, { organizationId, provider }: ExpiringCredential) {
  const { secret, account, tokenUrl } = await credentials.read({
    organizationId,
    userId: null,
    provider,
    kind: 'signing_key',
    label: 'oauth-app',
  })
  if (account === undefined)
    throw new TideError('invalid_value', `The signing_key "oauth-app" of ${provider} has no client id.`, {
      remedy: 'Store it with --account, the client id.',
    })
  return { clientId: account, clientSecret: secret, tokenUrl: tokenUrl ?? tokenUrls.get(provider) ?? '' }
}

function parse(text: string): z.infer<typeof answerSchema> | undefined {
  try {
    return answerSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
