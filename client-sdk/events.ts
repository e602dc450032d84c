/** `@tidewire/client/events`: dealing with the events of a durable subscription, one after the other. */
import { systemClock } from '../lib/clock.ts'
import { TideError } from '../protocol/error.ts'
import type { DeliveredEvent } from './actions.ts'
import type { CallAction } from './call-action.ts'

export type { DeliveredEvent } from './actions.ts'

export interface ConsumeEventsOptions {
  /** From `events.subscribe`. */
  readonly subscriptionId: string
  /** Dealt with when it resolves. When it rejects, the event comes again, and no later one before it. */
  readonly handle: (event: DeliveredEvent) => Promise<void> | void
  /** How long to wait when there is nothing, or after a failure; 1000. */
  readonly pollMs?: number
}

export interface EventConsumer {
  /**
   * Takes no more events; resolves when the one that is being dealt with has ended. What was dealt with is
   * acknowledged.
   */
  stop(): Promise<void>
  /**
   * Rejects when the server refuses to go on: the subscription is gone, or is somebody else's. Resolves after `stop`.
   */
  readonly done: Promise<void>
}

/** Such an end passes by itself. */
const passing = new Set(['offline', 'timeout', 'database_unreachable', 'rate_limited', 'internal'])

/**
 * Reads the events of a subscription, hands them over in order, and acknowledges each that was dealt with; events of
 * replays too, flagged `replay`. Each arrives at least once: after a crash, or a lost connection, what was not
 * acknowledged comes again.
 */
export function consumeEvents(
  tide: { readonly call: CallAction },
  { subscriptionId, handle, pollMs = 1000 }: ConsumeEventsOptions,
): EventConsumer {
  let stopped = false
  let wake = (): void => undefined
  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      if (stopped) return resolve()
      const cancel = systemClock.after(pollMs, resolve)
      wake = () => {
        cancel()
        resolve()
      }
    })

  /** Deals with what there is; answers which replays wait. */
  async function drain(replayId?: string): Promise<readonly string[]> {
    const from = { subscriptionId, ...(replayId === undefined ? {} : { replayId }) }
    let acknowledge: number | undefined
    for (;;) {
      const { events, replays } = await tide.call('events.read', {
        ...from,
        ...(acknowledge === undefined ? {} : { acknowledge }),
        ...(stopped ? { limit: 1 } : {}),
      })
      if (stopped || events.length === 0) return replays
      for (const event of events) {
        if (stopped) break
        try {
          await handle(event)
        } catch (error) {
          if (acknowledge !== undefined) await tide.call('events.read', { ...from, acknowledge, limit: 1 })
          const text = error instanceof Error ? error.message : String(error)
          await tide.call('events.fail', { subscriptionId, error: (text || 'failed').slice(0, 2000) })
          return []
        }
        acknowledge = event.seq
      }
    }
  }

  async function run(): Promise<void> {
    while (!stopped) {
      try {
        for (const replayId of await drain()) if (!stopped) await drain(replayId)
      } catch (error) {
        if (!(error instanceof TideError && passing.has(error.code))) throw error
      }
      await pause()
    }
  }

  const done = run()
  done.catch(() => undefined)
  return {
    done,
    async stop() {
      stopped = true
      wake()
      await done.catch(() => undefined)
    },
  }
}
