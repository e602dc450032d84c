import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import { networkOf } from '../../lib/ip-address.ts'
import { Slots } from '../../lib/slots.ts'
import { TideError } from '../../protocol/error.ts'
import type { ErrorCode } from '../../protocol/error-codes.ts'
import { isStorableText } from '../../protocol/rows/canonical-json.ts'
import type { SignIn } from '../auth/auth.ts'
import { isOriginAllowed } from './origin.ts'

/** An answer in JSON. */
export interface RouteReply {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface SignInRoutesDeps {
  readonly signIn: SignIn
  /** As in `Config`. */
  readonly allowedOrigins: readonly string[]
  /** Where a request comes from. */
  readonly addressOf: (request: IncomingMessage) => string | undefined
}

const bodyBytes = 8 * 1024
/**
 * The hash of a password costs tens of milliseconds and 19 MiB. Those of one place wait behind each other, and the
 * places take turns.
 */
const hashesAtOnce = 16
const mostWaiting = 256
const mostWaitingOfPlace = 32

const secret = z.string().min(1).max(400)
/** It is looked up in the database. */
const text = z.string().refine(isStorableText, 'has U+0000 or half of a surrogate pair')
const credentials = { email: text.min(3).max(320), password: secret }
const signInSchema = z.strictObject({ ...credentials, organization: text.max(63).optional() })
const passwordSchema = z.strictObject({ ...credentials, newPassword: secret })
const acceptSchema = z.strictObject({
  token: secret,
  password: secret,
  name: text.min(1).max(255).optional(),
})
const refreshSchema = z.strictObject({ refreshToken: secret })

const statuses: Partial<Record<ErrorCode, number>> = {
  sign_in_refused: 401,
  token_invalid: 401,
  token_expired: 401,
  forbidden: 403,
  origin_not_allowed: 403,
  not_found: 404,
  message_too_large: 413,
  rate_limited: 429,
  internal: 500,
}

/**
 * POST /auth/sign-in, /auth/accept, /auth/refresh, /auth/sign-out and /auth/password, with JSON both ways. Returns
 * undefined for other paths. Nothing is kept in cookies, so there is nothing for a foreign page to ride on.
 */
export function createSignInRoutes({
  signIn,
  allowedOrigins,
  addressOf,
}: SignInRoutesDeps): (request: IncomingMessage) => Promise<RouteReply | undefined> {
  const hashes = new Slots(hashesAtOnce)
  /** Those that wait or are worked on, by place. */
  const places = new Map<string, { waiting: number }>()
  let waiting = 0

  async function guarded<T>(ipAddress: string | undefined, work: () => Promise<T>): Promise<T> {
    const name = networkOf(ipAddress ?? '')
    const place = places.get(name) ?? { waiting: 0 }
    if (waiting >= mostWaiting || place.waiting >= mostWaitingOfPlace)
      throw new TideError('rate_limited', 'Too many people sign in at this moment; try again in a second.', {
        retryAfterMs: 1000,
      })
    waiting++
    place.waiting++
    places.set(name, place)
    try {
      return await hashes.run(work, place)
    } finally {
      waiting--
      if (--place.waiting === 0) places.delete(name)
    }
  }

  const routes: Readonly<Record<string, (body: unknown, request: IncomingMessage) => Promise<unknown>>> = {
    async '/auth/sign-in'(body, request) {
      const given = parse(signInSchema, body)
      const ipAddress = addressOf(request)
      return guarded(ipAddress, () => signIn.signIn({ ...given, ipAddress, userAgent: request.headers['user-agent'] }))
    },
    async '/auth/accept'(body, request) {
      const given = parse(acceptSchema, body)
      const ipAddress = addressOf(request)
      return guarded(ipAddress, () => signIn.accept({ ...given, ipAddress, userAgent: request.headers['user-agent'] }))
    },
    async '/auth/refresh'(body) {
      return signIn.refresh(parse(refreshSchema, body).refreshToken)
    },
    async '/auth/sign-out'(body) {
      await signIn.signOut(parse(refreshSchema, body).refreshToken)
      return {}
    },
    async '/auth/password'(body, request) {
      const given = parse(passwordSchema, body)
      const ipAddress = addressOf(request)
      await guarded(ipAddress, () => signIn.changePassword({ ...given, ipAddress }))
      return {}
    },
  }

  return async (request) => {
    const [path = ''] = (request.url ?? '').split('?', 1)
    const route = routes[path]
    if (!route) return undefined
    const { origin, host } = request.headers
    const headers: Record<string, string> =
      origin !== undefined && isOriginAllowed(origin, host, allowedOrigins)
        ? { 'access-control-allow-origin': origin, 'access-control-allow-headers': 'content-type', vary: 'origin' }
        : {}
    try {
      if (!isOriginAllowed(origin, host, allowedOrigins))
        throw new TideError('origin_not_allowed', `This server takes no requests from pages of ${origin}.`)
      if (request.method === 'OPTIONS') return { status: 204, body: {}, headers }
      if (request.method !== 'POST')
        return {
          status: 405,
          body: {
            error: new TideError('bad_message', `${path} takes POST.`, { remedy: 'Use POST.' }).toBody(),
          },
          headers: { ...headers, allow: 'POST' },
        }
      return { status: 200, body: await route(await readJson(request), request), headers }
    } catch (error) {
      if (!(error instanceof TideError)) throw error
      return { status: statuses[error.code] ?? 400, body: { error: error.toBody() }, headers }
    }
  }
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const checked = schema.safeParse(body)
  if (checked.success) return checked.data
  throw new TideError('bad_message', z.prettifyError(checked.error))
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.byteLength
    if (size > bodyBytes) throw new TideError('message_too_large', `The body is larger than ${bodyBytes} bytes.`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown
  } catch (cause) {
    throw new TideError('bad_message', 'The body is not JSON.', {
      remedy: 'Send a JSON object; docs/http.md has its fields.',
      cause,
    })
  }
}
