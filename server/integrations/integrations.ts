/**
 * What comes from other platforms and goes to them: webhooks that are taken when their signature is good, dealt with
 * once and in order; issues that follow their tasks; events that are delivered to addresses somebody configured.
 */
import type { IncomingMessage } from 'node:http'
import type pg from 'pg'
import type { Clock, CancelTimer } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Credentials } from '../credentials/credentials.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'
import { dispatch } from './dispatch.ts'
import { createInbound } from './inbound.ts'
import { refreshOne } from './refresh-credentials.ts'
import { createWebhookRoutes, type WebhookReply } from './routes.ts'
import { workOne } from './work-queue.ts'

export interface IntegrationsOptions {
  readonly pool: pg.Pool
  readonly credentials: Credentials
  readonly config: {
    /** Whether webhooks may go to private addresses and by plain http. */
    readonly webhookPrivateTargets: boolean
  }
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: {
    /** `webhook`: one came, and how it ended. `delivery`: one was sent, `delivered` or `failed`. */
    count(event: 'webhook' | 'delivery', result: string): void
  }
  /** Something was committed. */
  readonly onCommitted: () => void
  /** How often to look for work. Milliseconds. */
  readonly intervalMs?: number
}

export interface Integrations {
  readonly routes: (request: IncomingMessage) => Promise<WebhookReply | undefined>
  /** Begins no more work; what is under way is waited for. */
  stop(): Promise<void>
}

const timeoutMs = 10_000
const maxAttempts = 8

export function startIntegrations(options: IntegrationsOptions): Integrations {
  const { pool, credentials, config, clock, random, log, metrics, onCommitted, intervalMs = 2000 } = options
  const deps = {
    pool,
    credentials,
    clock,
    random,
    log,
    allowPrivate: config.webhookPrivateTargets,
    timeoutMs,
    maxAttempts,
    count: (result: string) => metrics.count('delivery', result),
  }
  let stopped = false
  let again = false
  let running: Promise<void> | undefined
  let cancel: CancelTimer = () => undefined

  async function work(): Promise<void> {
    // Both sides get a turn, however much waits on one.
    for (let busy = true; busy && !stopped;) {
      busy = false
      while (!stopped && (await refreshOne(deps)));
      for (let n = 0; n < 100 && !stopped && (await workOne(deps)); n++) busy = true
      if (!stopped && (await dispatch(deps))) busy = true
      if (busy) onCommitted()
    }
  }

  function wake(): void {
    if (stopped) return
    if (running) {
      again = true
      return
    }
    cancel()
    again = false
    running = work()
      .catch((error: unknown) =>
        log.error('A maintenance job failed', {
          job: 'integrations',
          error: errorText(error),
        }),
      )
      .then(() => {
        running = undefined
        if (again) wake()
        else if (!stopped) cancel = clock.after(intervalMs, wake)
      })
  }
  cancel = clock.after(intervalMs, wake)

  return {
    routes: createWebhookRoutes({
      inbound: createInbound({ pool, credentials, clock, random }),
      clock,
      count: (result) => metrics.count('webhook', result),
      onStored: wake,
    }),
    async stop() {
      stopped = true
      cancel()
      await running
    },
  }
}
