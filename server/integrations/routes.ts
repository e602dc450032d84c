import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import type { ErrorCode } from '../../protocol/error-codes.ts'
import type { Received } from './inbound.ts'
import type { Sent } from './signatures.ts'

/** An answer in JSON. */
export interface WebhookReply {
  readonly status: number
  /** JSON. */
  readonly body: unknown
}

export interface WebhookRoutesDeps {
  readonly receive: (endpointKey: string, sent: Omit<Sent, 'now'>) => Promise<Received>
  readonly clock: Clock
  /** Told of each request how it ended: an outcome, or a code. */
  readonly count: (result: string) => void
  readonly onStored: () => void
}

const bodyBytes = 1024 * 1024
const bodyMs = 10_000
const atOnce = 32

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
  receive,
  clock,
  count,
  onStored,
}: WebhookRoutesDeps): (request: IncomingMessage) => Promise<WebhookReply | undefined> {
  let underWay = 0

  async function take(request: IncomingMessage, key: string): Promise<Received> {
    if (underWay >= atOnce)
      throw new TideError('rate_limited', 'Too many webhooks come at this moment; send it again later.')
    underWay++
    try {
      return await receive(key, { headers: request.headers, body: await readBody(request, clock) })
    } finally {
      underWay--
    }
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
    if (!late) throw error
    throw new TideError('timeout', `The body did not come within ${bodyMs} ms.`)
  } finally {
    cancel()
  }
  return Buffer.concat(chunks)
}
