import { TideError } from '../../protocol/error.ts'
import { messageFrame } from '../../protocol/parse.ts'
import type { Access } from '../scope/access.ts'
import type { DevicePrincipal } from '../scope/principal.ts'

/** The answer to an `activate` of a subscription that is not there. */
export function noSubscription(subscription: string): Uint8Array {
  const error = new TideError(
    'not_found',
    `There is no subscription ${JSON.stringify(subscription)} to activate; it was never made, or has ended.`,
  )
  return messageFrame({ type: 'error', subscription, fatal: false, error: error.toBody() })
}

/** Why a principal without access is not, or no longer, served. */
export function refused(access: Access, principal: DevicePrincipal): TideError {
  const what =
    access.refusal === 'device_revoked'
      ? `Device ${principal.deviceId} was revoked`
      : `${principal.kind} ${principal.id} is not active any more`
  return new TideError(access.refusal ?? 'token_invalid', `${what}.`)
}

export function tooMany(limit: number, subscription: string): TideError {
  return new TideError(
    'subscription_limit',
    `A session may have ${limit} subscriptions; ${subscription} would be one more.`,
  )
}

export function notOpen(channel: string, { kind, id }: DevicePrincipal): TideError {
  return new TideError('forbidden', `${channel} may not be followed by ${kind} ${id}.`)
}

export function notHeld(subscription: string): TideError {
  return new TideError(
    'cursor_ahead',
    `Subscription ${subscription} is said to be held, but its cursor cannot be continued here.`,
  )
}

export function tooManyVerifies(): TideError {
  return new TideError('rate_limited', 'Too many verifications wait to be answered.', { retryAfterMs: 1000 })
}

export function tooManyPages(most: number): TideError {
  return new TideError('rate_limited', `${most} pages are asked for already.`, { retryAfterMs: 1000 })
}
