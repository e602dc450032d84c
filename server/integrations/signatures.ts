/**
 * Who sent a webhook: the schemes of the platforms, over the raw body. Pure, and constant in time where a secret is
 * compared.
 *
 * - GitHub: `X-Hub-Signature-256: sha256=<hex of HMAC-SHA-256(body)>`
 * - Linear: `Linear-Signature: <hex of HMAC-SHA-256(body)>`, and `webhookTimestamp` in the body, within a minute
 * - Slack: `X-Slack-Signature: v0=<hex of HMAC-SHA-256("v0:<timestamp>:<body>")>`, and the timestamp within five
 *   minutes
 * - generic: Standard Webhooks (standardwebhooks.com): `webhook-signature: v1,<base64 of
 *   HMAC-SHA-256("<id>.<timestamp>.<body>")> …`, and the timestamp within five minutes. Tidewire signs what it sends in
 *   this way.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export type Provider = 'github' | 'linear' | 'slack' | 'generic'

export interface Sent {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** Milliseconds since 1970, of the server. */
  readonly now: number
}

const linearWindowMs = 60_000
const windowMs = 5 * 60_000

/** Undefined: the signature is good. Otherwise what is wrong, in words that give nothing away. */
export function refuseSignature(provider: Provider, secret: string, sent: Sent): string | undefined {
  const one = (name: string): string => {
    const value = sent.headers[name]
    return typeof value === 'string' ? value : ''
  }
  const hmac = (text: string | Buffer, key: string | Buffer = secret): Buffer =>
    createHmac('sha256', key).update(text).digest()
  switch (provider) {
    case 'github':
      return isHex(one('x-hub-signature-256'), 'sha256=', hmac(sent.body))
        ? undefined
        : 'X-Hub-Signature-256 does not fit the body'
    case 'linear':
      if (!isHex(one('linear-signature'), '', hmac(sent.body))) return 'Linear-Signature does not fit the body'
      return isRecent(linearTime(sent.body), sent.now, linearWindowMs)
        ? undefined
        : 'webhookTimestamp is not within a minute of now'
    case 'slack': {
      const time = one('x-slack-request-timestamp')
      if (!isHex(one('x-slack-signature'), 'v0=', hmac(Buffer.concat([Buffer.from(`v0:${time}:`), sent.body]))))
        return 'X-Slack-Signature does not fit the body'
      return isRecent(seconds(time), sent.now, windowMs)
        ? undefined
        : 'X-Slack-Request-Timestamp is not within five minutes of now'
    }
    case 'generic': {
      const [id, time] = [one('webhook-id'), one('webhook-timestamp')]
      const expected = standardSignature(secret, id, time, sent.body)
      const given = one('webhook-signature').split(' ')
      // All are compared, so that the time tells nothing.
      if (id === '' || given.filter((each) => isEqual(Buffer.from(each), Buffer.from(expected))).length === 0)
        return 'webhook-signature does not fit the body'
      return isRecent(seconds(time), sent.now, windowMs)
        ? undefined
        : 'webhook-timestamp is not within five minutes of now'
    }
  }
}

/** `v1,…` of Standard Webhooks. A secret that begins with `whsec_` is base64. */
export function standardSignature(secret: string, id: string, seconds: string, body: Buffer): string {
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret)
  return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.`).update(body).digest('base64')}`
}

function isHex(given: string, prefix: string, expected: Buffer): boolean {
  return isEqual(Buffer.from(given), Buffer.from(`${prefix}${expected.toString('hex')}`))
}

function isEqual(given: Buffer, expected: Buffer): boolean {
  return given.byteLength === expected.byteLength && timingSafeEqual(given, expected)
}

function isRecent(timeMs: number, now: number, within: number): boolean {
  return Math.abs(now - timeMs) <= within
}

function seconds(text: string): number {
  return /^\d{1,12}$/.test(text) ? Number(text) * 1000 : Number.NaN
}

function linearTime(body: Buffer): number {
  try {
    const parsed = JSON.parse(body.toString()) as { readonly webhookTimestamp?: unknown } | null
    return Number(parsed?.webhookTimestamp ?? Number.NaN)
  } catch {
    return Number.NaN
  }
}
