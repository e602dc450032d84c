import { z } from 'zod'

/**
 * How long to wait before the next try: `delaySeconds`, doubled each time when `exponential`, never more than
 * `maxDelaySeconds`; `jitter` takes up to half of the pause away.
 */
export const retryPolicySchema = z.strictObject({
  strategy: z.enum(['fixed', 'exponential']).default('exponential'),
  delaySeconds: z.number().min(0).max(86_400).default(5),
  maxDelaySeconds: z.number().min(0).max(86_400).default(300),
  jitter: z.boolean().default(true),
  /** Tries before it is given up. */
  maxAttempts: z.number().int().min(1).max(100).default(5),
})
