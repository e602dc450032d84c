import type { z } from 'zod'
import type { eventFilterSchema } from '../protocol/agents/event-filter.ts'
import type { retryPolicySchema } from '../protocol/agents/retry-policy.ts'
import type { ListedToken } from '../protocol/actions/access-token.ts'
import type { Charge } from '../protocol/actions/charge.ts'
import type { ListedDevice } from '../protocol/actions/device.ts'
import type { EstimateRequest } from '../protocol/actions/estimate-request.ts'
import type { DeliveredEvent } from '../protocol/actions/delivered-event.ts'
import type { Json } from '../protocol/rows/row.ts'
import type { RowOf } from '../protocol/rows/row-type.ts'
import type { shippedSchema } from './schema.generated.ts'

export type { DeliveredEvent } from '../protocol/actions/delivered-event.ts'

type EventFilter = z.input<typeof eventFilterSchema>
type RetryPolicyInput = z.input<typeof retryPolicySchema>

/**
 * Actions with the types of their input and answer. An application adds its own:
 *
 *     declare module '@tidewire/client' {
 *       interface Actions {
 *         'orders.ship': { input: { orderId: string }; answer: { trackingId: string } }
 *       }
 *     }
 */
export interface Actions {
  /**
   * Takes the most important, then oldest ready task for an agent; both null when none is ready. The lease: 5 to 86,400
   * seconds, 300 when absent. Throws `agent_unavailable`.
   */
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
  /**
   * Makes a lease end later, within the task's `timeoutSeconds`. `runId`: of the claim, so that the lease of a later
   * claim is left alone. Throws `lease_lost`.
   */
  readonly 'tasks.renew': {
    readonly input: { readonly taskId: string; readonly runId?: string; readonly leaseSeconds?: number }
    readonly answer: { readonly leaseExpiresAt: string }
  }
  /** Gives a task back undone, without having used up an attempt. Throws `lease_lost`. */
  readonly 'tasks.release': {
    readonly input: { readonly taskId: string; readonly runId?: string }
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
  /** Makes a durable subscription to events, or changes the one of this name. Patterns: only `*` means anything. */
  readonly 'events.subscribe': {
    readonly input: {
      readonly name: string
      /** Whose it is; the caller's when absent. */
      readonly agentId?: string
      /** Delivered to this outbound webhook instead of being read. Takes an admin. */
      readonly webhookId?: string
      readonly source?: string
      readonly type?: string
      readonly filter?: EventFilter
      readonly retryPolicy?: RetryPolicyInput
      /** `now` when absent. */
      readonly from?: 'now' | 'beginning'
    }
    readonly answer: { readonly subscriptionId: string; readonly cursor: number }
  }
  readonly 'events.pause': {
    readonly input: { readonly subscriptionId: string }
    readonly answer: { readonly status: 'paused' }
  }
  /** Goes on where it stopped, also after it failed. */
  readonly 'events.resume': {
    readonly input: { readonly subscriptionId: string }
    readonly answer: { readonly status: 'active' }
  }
  /** The next events, oldest first; they come again until `acknowledge` names them. `consumeEvents` does this. */
  readonly 'events.read': {
    readonly input: {
      readonly subscriptionId: string
      readonly acknowledge?: number
      readonly replayId?: string
      /** 1 to 1000, 100 when absent. */
      readonly limit?: number
    }
    readonly answer: {
      readonly status: 'active' | 'paused' | 'failed' | 'running' | 'completed'
      readonly events: readonly DeliveredEvent[]
      /** Replays that wait to be read. */
      readonly replays: readonly string[]
    }
  }
  /** An event could not be dealt with; after `maxAttempts` in a row the subscription is `failed`. */
  readonly 'events.fail': {
    readonly input: { readonly subscriptionId: string; readonly error: string }
    readonly answer: { readonly status: string; readonly attempts: number }
  }
  /** Delivers past events again, flagged, without moving the cursor of the subscription. A dry run only counts. */
  readonly 'events.replay': {
    readonly input: {
      readonly subscriptionId: string
      readonly fromSeq?: number
      readonly toSeq?: number
      readonly fromTime?: string
      readonly toTime?: string
      readonly filter?: EventFilter
      readonly reason?: 'recovery' | 'debugging' | 'backfill'
      readonly dryRun?: boolean
    }
    /** `events`: at most about 10,000 are counted; `isComplete` is false when there are more. */
    readonly answer: { readonly replayId: string; readonly events: number; readonly isComplete: boolean }
  }
  /** Starts a run of a pipeline. */
  readonly 'pipelines.start': {
    readonly input: {
      readonly pipelineId: string
      readonly branch?: string
      readonly commitSha?: string
      readonly inputs?: Readonly<Record<string, Json>>
    }
    readonly answer: PipelineAnswer
  }
  /** Takes the next step of a pipeline that is ready for an agent, with a lease; both null when there is none. */
  readonly 'pipelines.claim': {
    readonly input: {
      readonly agentId: string
      readonly instanceId?: string
      readonly projectId?: string
      readonly kinds?: readonly ('command' | 'agent' | 'test' | 'build' | 'deploy')[]
      readonly leaseSeconds?: number
    }
    readonly answer: {
      readonly step: RowOf<(typeof shippedSchema)['pipelineStepExecutions']> | null
      readonly work: {
        readonly kind: string
        readonly pipelineId: string
        readonly runNumber: number
        readonly configuration: Json
        readonly environment: Json
        readonly inputs: Json
        /** What earlier steps gave, by their names. */
        readonly outputs: Readonly<Record<string, Json>>
        readonly branch: string | null
        readonly commitSha: string | null
      } | null
    }
  }
  /** `instanceId`: of the claim, so that the lease of another process is left alone. Throws `lease_lost`. */
  readonly 'pipelines.renew': {
    readonly input: { readonly stepExecutionId: string; readonly instanceId?: string; readonly leaseSeconds?: number }
    readonly answer: Readonly<Record<string, never>>
  }
  /** Ends a step. `outputs.metrics` are what quality gates compare. Throws `lease_lost`. */
  readonly 'pipelines.finish': {
    readonly input: {
      readonly stepExecutionId: string
      /** As of `pipelines.renew`. */
      readonly instanceId?: string
      readonly status: 'completed' | 'failed'
      readonly exitCode?: number
      readonly logTail?: string
      readonly logUri?: string
      readonly outputs?: {
        readonly metrics?: Readonly<Record<string, number>>
        readonly [key: string]: Json | undefined
      }
      readonly error?: string
      readonly artifacts?: readonly {
        readonly name: string
        readonly kind?: 'file' | 'report' | 'coverage' | 'image' | 'package' | 'log'
        readonly storageUri: string
        readonly sizeBytes?: number
        /** 64 hexadecimal digits. */
        readonly sha256: string
        readonly contentType?: string
        readonly expiresAt?: string
      }[]
    }
    readonly answer: PipelineAnswer
  }
  readonly 'pipelines.cancel': {
    readonly input: { readonly executionId: string; readonly reason?: string }
    readonly answer: PipelineAnswer
  }
  /** Answers a step of kind `approval`. Takes an admin of the project. */
  readonly 'pipelines.approve': {
    readonly input: { readonly stepExecutionId: string; readonly approved: boolean; readonly reason?: string }
    readonly answer: PipelineAnswer
  }
  /** Takes a quality gate that failed as passed. Takes a person who is an admin of the project. */
  readonly 'pipelines.waive': {
    readonly input: { readonly executionId: string; readonly gate: string; readonly reason: string }
    readonly answer: PipelineAnswer
  }
  /** Cancels or archives a project, and says why. Nothing happens to one that is closed in this way already. */
  readonly 'projects.close': {
    readonly input: {
      readonly projectId: string
      readonly kind: 'cancelled' | 'archived'
      readonly reason?: string
      readonly archivePath?: string
      readonly archiveSha256?: string
      readonly metadata?: Readonly<Record<string, Json>>
    }
    readonly answer: {
      readonly project: RowOf<(typeof shippedSchema)['projects']>
      readonly closure: RowOf<(typeof shippedSchema)['projectClosures']> | null
    }
  }
  /** Starts a run of a workflow: a task for each of its steps. */
  readonly 'workflows.start': {
    readonly input: {
      readonly workflowId: string
      readonly projectId?: string
      readonly input?: Readonly<Record<string, Json>>
    }
    readonly answer: { readonly run: RowOf<(typeof shippedSchema)['workflowRuns']> }
  }
  /** Ends a run of a workflow, and what is left of its tasks. Nothing happens to one that has ended. */
  readonly 'workflows.cancel': {
    readonly input: { readonly runId: string; readonly reason?: string }
    readonly answer: { readonly run: RowOf<(typeof shippedSchema)['workflowRuns']> }
  }
  /** Names the credential with which a webhook is signed. Takes an admin. */
  readonly 'webhooks.secure': {
    readonly input: { readonly webhookId: string; readonly credentialId: string }
    readonly answer: Readonly<Record<string, never>>
  }
  /** Turns an integration on or off, and names the credential with which its platform is asked. Takes an admin. */
  readonly 'integrations.configure': {
    readonly input: {
      readonly integrationId: string
      readonly status: 'active' | 'paused' | 'revoked'
      readonly credentialId?: string | null
    }
    readonly answer: { readonly status: string }
  }
  /**
   * Stores what an analysis of a repository found. Large ones come in parts: all but the last say `running`, later ones
   * name the `analysisId`.
   */
  readonly 'analyses.store': {
    readonly input: {
      readonly repositoryId: string
      readonly analysisId?: string
      readonly kind: 'structure' | 'complexity' | 'security' | 'dependencies' | 'quality' | 'full'
      readonly branch?: string
      readonly commitSha?: string
      readonly status?: 'running' | 'completed' | 'failed'
      /** So far. */
      readonly durationMs: number
      /** Each becomes a row of `complexity_metrics`. */
      readonly files?: readonly {
        readonly path: string
        readonly lines: number
        /** From 0 to 100. */
        readonly complexityScore: number
        readonly cyclomaticComplexity?: number
        readonly dependencies?: number
      }[]
      readonly findings?: readonly Json[]
      readonly metrics?: Readonly<Record<string, Json>>
      readonly error?: string
    }
    readonly answer: { readonly analysis: RowOf<(typeof shippedSchema)['repositoryAnalyses']> }
  }
  /** Asks whether an agent may use a tool, and logs the answer. A denial is an answer. */
  readonly 'tools.check': {
    readonly input: {
      readonly agentId: string
      readonly toolName: string
      /** `use` when absent. */
      readonly operation?: string
      /** Logged without secrets. */
      readonly parameters?: Json
      readonly projectId?: string
      readonly taskId?: string
    }
    readonly answer: { readonly allowed: boolean; readonly reason: string | null; readonly decisionId: string }
  }
  /** Logs what the use of a tool came to, once. */
  readonly 'tools.record': {
    readonly input: { readonly decisionId: string; readonly result?: Json; readonly durationMs?: number }
    readonly answer: Readonly<Record<string, never>>
  }
  /** Invites somebody into the organization. The token is told once: a repeat of the call has null in its place. */
  readonly 'members.invite': {
    readonly input: {
      readonly email: string
      /** `member` when absent; not above the caller's own. */
      readonly role?: 'owner' | 'admin' | 'member' | 'viewer'
      /** At most 720; a week when absent. */
      readonly expiresInHours?: number
    }
    readonly answer: { readonly invitationId: string; readonly token: string | null; readonly expiresAt: string }
  }
  /** Ends an invitation that was not accepted. */
  readonly 'members.withdraw': {
    readonly input: { readonly invitationId: string }
    readonly answer: Readonly<Record<string, never>>
  }
  /** The invitations that somebody could still accept, newest first, at most 1,000. For admins. */
  readonly 'members.invitations': {
    readonly input: Readonly<Record<string, never>>
    readonly answer: {
      readonly invitations: readonly {
        readonly invitationId: string
        readonly email: string
        readonly role: 'owner' | 'admin' | 'member' | 'viewer'
        readonly invitedByUserId: string | null
        readonly expiresAt: string
        readonly createdAt: string
      }[]
    }
  }
  /**
   * Makes an access token of the caller, or of an agent that the caller may act as. The token is told once: a repeat of
   * the call has null in its place. Throws `limit_reached`.
   */
  readonly 'tokens.issue': {
    readonly input: {
      readonly name: string
      readonly agentId?: string
      /** `read`, `write`, names of actions; none: all that its user or agent may do. */
      readonly scopes?: readonly string[]
      /** At most 87,600; 90 days when absent. */
      readonly expiresInHours?: number
    }
    readonly answer: { readonly tokenId: string; readonly token: string | null; readonly expiresAt: string }
  }
  /** The access tokens that are good, newest first, at most 1,000: the caller's and their agents'; for admins all. */
  readonly 'tokens.list': {
    readonly input: Readonly<Record<string, never>>
    readonly answer: { readonly tokens: readonly ListedToken[] }
  }
  /** Ends an access token of `tokens.list`, and the connections that use it. */
  readonly 'tokens.revoke': {
    readonly input: { readonly tokenId: string }
    readonly answer: Readonly<Record<string, never>>
  }
  /** The devices ever connected, newest first, 500 at a time: the caller's and their agents'; for admins all. */
  readonly 'devices.list': {
    /** `after`: `next` of the page before. */
    readonly input: { readonly after?: string }
    readonly answer: { readonly devices: readonly ListedDevice[]; readonly next: string | null }
  }
  /** Ends a device of `devices.list`, its connection, and the sessions that were last used on it. */
  readonly 'devices.revoke': {
    readonly input: { readonly deviceId: string }
    readonly answer: Readonly<Record<string, never>>
  }
  /** Makes an estimate (a draft) of expected tokens: their price, times what the active model has learned. */
  readonly 'costs.estimate': {
    readonly input: EstimateRequest
    readonly answer: { readonly estimate: RowOf<(typeof shippedSchema)['costEstimates']> }
  }
  /** An admin vouches for a capability of an agent, or takes that back. */
  readonly 'capabilities.verify': {
    /** `verified`: true when absent. */
    readonly input: { readonly capabilityId: string; readonly verified?: boolean }
    readonly answer: { readonly verifiedAt: string | null }
  }
  /** What the organization was charged, newest month first, 500 charges at a time. For admins. */
  readonly 'charges.list': {
    readonly input: {
      /** `YYYY-MM`; all months when absent. */
      readonly month?: string
      /** `next` of the page before. */
      readonly after?: string
    }
    readonly answer: { readonly charges: readonly Charge[]; readonly next: string | null }
  }
}

interface PipelineAnswer {
  /** The run as it is then. */
  readonly execution: RowOf<(typeof shippedSchema)['pipelineExecutions']>
}
