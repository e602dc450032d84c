// Checked by the compiler alone: what the SDK says that an action takes is what the server takes, action by action.
import type { z } from 'zod'
import type { Actions } from '@tidewire/client'
import type { Json } from '../../protocol/rows/row.ts'
import type { storeAnalysis } from '../../server/actions/analyses.ts'
import type { verifyCapability } from '../../server/actions/capabilities.ts'
import type { listCharges } from '../../server/actions/charges.ts'
import type { listDevices, revokeDevice } from '../../server/actions/devices.ts'
import type { estimateCost } from '../../server/actions/estimates.ts'
import type { failEvents, readEvents, replayEvents } from '../../server/actions/event-reading.ts'
import type {
  pauseSubscription,
  resumeSubscription,
  subscribeToEvents,
} from '../../server/actions/event-subscriptions.ts'
import type { heartbeat } from '../../server/actions/heartbeat.ts'
import type { configureIntegration, secureWebhook } from '../../server/actions/integrations.ts'
import type { inviteMember, listInvitations, withdrawInvitation } from '../../server/actions/invitations.ts'
import type { approveStep, cancelPipeline, waiveGate } from '../../server/actions/pipeline-decisions.ts'
import type { claimStep, finishStep, renewStep, startPipeline } from '../../server/actions/pipelines.ts'
import type { closeProject } from '../../server/actions/projects.ts'
import type { claimTask, releaseTask, renewLease } from '../../server/actions/tasks.ts'
import type { issueToken, listTokens, revokeToken } from '../../server/actions/tokens.ts'
import type { checkTool, recordTool } from '../../server/actions/tools.ts'
import type { cancelWorkflow, startWorkflow } from '../../server/actions/workflows.ts'

type Shipped =
  | typeof approveStep
  | typeof cancelPipeline
  | typeof cancelWorkflow
  | typeof checkTool
  | typeof claimStep
  | typeof claimTask
  | typeof closeProject
  | typeof configureIntegration
  | typeof estimateCost
  | typeof failEvents
  | typeof finishStep
  | typeof heartbeat
  | typeof inviteMember
  | typeof issueToken
  | typeof listCharges
  | typeof listDevices
  | typeof listInvitations
  | typeof listTokens
  | typeof pauseSubscription
  | typeof readEvents
  | typeof recordTool
  | typeof releaseTask
  | typeof renewLease
  | typeof renewStep
  | typeof replayEvents
  | typeof resumeSubscription
  | typeof revokeDevice
  | typeof revokeToken
  | typeof secureWebhook
  | typeof startPipeline
  | typeof startWorkflow
  | typeof storeAnalysis
  | typeof subscribeToEvents
  | typeof verifyCapability
  | typeof waiveGate
  | typeof withdrawInvitation

type TakenBy<Name extends Shipped['name']> = z.input<Extract<Shipped, { readonly name: Name }>['input']>

/** Without what says nothing of a value: `readonly`, and `undefined` for what may be left out. */
type Plain<T> = Json extends T
  ? Json
  : T extends readonly (infer Item)[]
    ? readonly Plain<Item>[]
    : T extends object
      ? { readonly [Key in keyof T]: Plain<Exclude<T[Key], undefined>> }
      : T

type Same<A, B> = [A, B] extends [B, A] ? true : false

/** The actions of which the two sides differ. */
type Different = {
  [Name in keyof Actions]: Name extends Shipped['name']
    ? Same<Plain<TakenBy<Name>>, Plain<Actions[Name]['input']>> extends true
      ? never
      : Name
    : Name
}[keyof Actions]

declare function none<T extends never>(): T
none<Different>()
none<Exclude<Shipped['name'], keyof Actions>>()
// @ts-expect-error They differ in what may be left out.
none<Same<Plain<{ a?: string }>, Plain<{ a: string }>> extends true ? never : 'differ'>()
// @ts-expect-error They differ in a value deep inside.
none<Same<Plain<{ a: { b: string }[] }>, Plain<{ a: { b: 'x' }[] }>> extends true ? never : 'differ'>()
