import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import type { ErrorCode } from '../../protocol/error-codes.ts'
import type { Endpoint, Inbound, Received } from './inbound.ts'

/** An answer in JSON. */
export interface WebhookReply {
  readonly status: number
  /** JSON. */
  readonly body: unknown
}

export interface WebhookRoutesDeps {
  readonly inbound: Inbound
  readonly clock: Clock
  /** Told of each request how it ended: an outcome, or a code. */
  readonly count: (result: string) => void
  readonly onStored: () => void
}

const bodyBytes = 1024 * 1024
const bodyMs = 10_000
/** Steps that use the database, of all senders together: each ends soon. */
const atOnce = 32
/**
 * Bodies that are on their way. An organization has its own share, so that a slow sender stops nobody else's webhooks.
 */
const bodiesAtOnce = 256
const bodiesOfOrganization = 32

const statuses: Partial<Record<ErrorCode, number>> = {
  signature_invalid: 401,
  not_found: 404,
  message_too_large: 413,
  rate_limited: 429,
  timeout: 408,
  secret_unreadable: 503,
  encryption_unavailable: 503,
}

/** POST /webhooks/<endpoint key>, as platforms send them. Returns undefined for other paths. */
export function createWebhookRoutes({
  inbound,
  clock,
  count,
  onStored,
}: WebhookRoutesDeps): (request: IncomingMessage) => Promise<WebhookReply | undefined> {
  let underWay = 0
  let bodies = 0
  const bodiesOf = new Map<string, number>()
  const busy = (): TideError =>
    new TideError('rate_limited', 'Too many webhooks come at this moment; send it again later.')

  async function step<T>(work: () => Promise<T>): Promise<T> {
    if (underWay >= atOnce) throw busy()
    underWay++
    try {
      return await work()
    } finally {
      underWay--
    }
  }

  async function bodyFor({ organization }: Endpoint, request: IncomingMessage): Promise<Buffer> {
    const own = bodiesOf.get(organization) ?? 0
    if (bodies >= bodiesAtOnce || own >= bodiesOfOrganization) throw busy()
    bodies++
    bodiesOf.set(organization, own + 1)
    try {
      return await readBody(request, clock)
    } finally {
      bodies--
      const left = (bodiesOf.get(organization) ?? 1) - 1
      if (left > 0) bodiesOf.set(organization, left)
      else bodiesOf.delete(organization)
    }
  }

  async function take(request: IncomingMessage, key: string): Promise<Received> {
    const endpoint = await step(() => inbound.find(key))
    const body = await bodyFor(endpoint, request)
    return step(() => inbound.take(endpoint, { headers: request.headers, body }))
  }

  return async (request) => {
    const key = /^\/webhooks\/([0-9A-Za-z_-]{16,200})$/.exec((request.url ?? '').split('?', 1)[0] ?? '')?.[1]
    if (key === undefined) return undefined
    if (request.method !== 'POST')
      return {
        status: 405,
        body: { error: new TideError('bad_message', 'A webhook is a POST.', { remedy: 'Use POST.' }).toBody() },
      }
    try {
      const { body, outcome } = await take(request, key)
      count(outcome)
      if (outcome === 'stored') onStored()
      return { status: 200, body }
    } catch (error) {
      if (!(error instanceof TideError)) throw error
      count(error.code)
      return { status: statuses[error.code] ?? 400, body: { error: error.toBody() } }
    }
  }
}

async function readBody(request: IncomingMessage, clock: Clock): Promise<Buffer> {
  const tooLarge = (): TideError => new TideError('message_too_large', `The body is larger than ${bodyBytes} bytes.`)
  if (Number(request.headers['content-length'] ?? 0) > bodyBytes) throw tooLarge()
  let late = false
  const cancel = clock.after(bodyMs, () => {
    late = true
    request.destroy()
  })
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.byteLength
      if (size > bodyBytes) throw tooLarge()
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof TideError) throw error
    throw late
      ? new TideError('timeout', `The body did not come within ${bodyMs} ms.`)
      : new TideError('bad_message', 'The connection ended before the body was whole.')
  } finally {
    cancel()
  }
  return Buffer.concat(chunks)
}
