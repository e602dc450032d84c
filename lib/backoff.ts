import type { Random } from './random.ts'

/** How long to wait between tries: `minMs` doubled per failed attempt up to `maxMs`. */
export interface BackoffPolicy {
  readonly minMs: number
  readonly maxMs: number
}

/**
 * The pause before attempt number `attempt` (0 = first retry), in milliseconds: "full jitter" between half and the
 * whole of the exponential step, so that clients cut off together do not come back together.
 */
export function backoffDelay(policy: BackoffPolicy, attempt: number, random: Random): number {
  const step = Math.min(policy.maxMs, policy.minMs * 2 ** Math.min(attempt, 30))
  return step / 2 + random.next() * (step / 2)
}
