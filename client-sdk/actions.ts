import type { Json } from '../protocol/rows/row.ts'
import type { RowOf } from '../protocol/rows/row-type.ts'
import type { shippedSchema } from './schema.generated.ts'

/**
 * Actions with the types of their input and answer. An application adds its own:
 *
 *     declare module '@tidewire/client' { interface Actions { 'orders.ship': { input: { orderId: string }; answer: { trackingId: string } } } }
 */
export interface Actions {
  /** Takes the most important, then oldest ready task for an agent; both null when none is ready. The lease: 5 to 86,400 seconds, 300 when absent. */
  readonly 'tasks.claim': {
    readonly input: {
      readonly agentId: string
      /** The process that works on it: when it misses three heartbeats, the task is free again. */
      readonly instanceId?: string
      readonly projectId?: string
      readonly leaseSeconds?: number
    }
    readonly answer: {
      readonly task: RowOf<(typeof shippedSchema)['tasks']> | null
      readonly runId: string | null
    }
  }
  /** Makes a lease end later. Throws `lease_lost`. */
  readonly 'tasks.renew': {
    readonly input: { readonly taskId: string; readonly leaseSeconds?: number }
    readonly answer: { readonly leaseExpiresAt: string }
  }
  /** Gives a task back undone, without having used up an attempt. Throws `lease_lost`. */
  readonly 'tasks.release': {
    readonly input: { readonly taskId: string }
    readonly answer: Readonly<Record<string, never>>
  }
  /** Says that an agent's process lives, and how it is doing. */
  readonly 'agents.heartbeat': {
    readonly input: {
      readonly instanceId: string
      readonly status?: 'starting' | 'idle' | 'busy' | 'draining' | 'stopped'
      readonly cpuPercent?: number
      readonly memoryMb?: number
      readonly batteryPercent?: number
    }
    readonly answer: { readonly status: string }
  }
}

/** Calls a named server action. Needs a connection; rejects with what the action throws, `offline` or `timeout`. */
export interface CallAction {
  <Name extends keyof Actions>(action: Name, input: Actions[Name]['input']): Promise<Actions[Name]['answer']>
  (action: string, input: Json): Promise<Json>
}
