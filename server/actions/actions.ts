/**
 * Actions: `client.call(name, input)`. One call is one transaction: access, the action's own statements, and the
 * answer, stored under the id of the call. A repeat of the id is answered from there and does nothing.
 */
import { createHash } from 'node:crypto'
import type { Pool, PoolClient } from 'pg'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'
import type { Json } from '../../protocol/rows/row.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { rawRows, selectList, toRow } from '../db/row-codec.ts'
import { checkActive, loadAccess } from '../scope/access.ts'
import { inDeviceTransaction } from '../scope/device-transaction.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import { describeScopes, mayCall } from '../scope/token-scopes.ts'
import type { ActionContext, AnyAction, ReadCredential } from './action.ts'
import { storeAnalysis } from './analyses.ts'
import { verifyCapability } from './capabilities.ts'
import { listCharges } from './charges.ts'
import { listDevices, revokeDevice } from './devices.ts'
import { estimateCost } from './estimates.ts'
import { failEvents, readEvents, replayEvents } from './event-reading.ts'
import { pauseSubscription, resumeSubscription, subscribeToEvents } from './event-subscriptions.ts'
import { configureIntegration, secureWebhook } from './integrations.ts'
import { heartbeat } from './heartbeat.ts'
import { approveStep, cancelPipeline, waiveGate } from './pipeline-decisions.ts'
import { claimStep, finishStep, renewStep, startPipeline } from './pipelines.ts'
import { closeProject } from './projects.ts'
import { claimTask, releaseTask, renewLease } from './tasks.ts'
import { inviteMember, listInvitations, withdrawInvitation } from './invitations.ts'
import { issueToken, listTokens, revokeToken } from './tokens.ts'
import { checkTool, recordTool } from './tools.ts'
import { cancelWorkflow, startWorkflow } from './workflows.ts'

export { defineAction, type ActionContext, type AnyAction, type CredentialRequest } from './action.ts'

/** The actions of the shipped tables. */
export const shippedActions: readonly AnyAction[] = [
  claimTask,
  renewLease,
  releaseTask,
  heartbeat,
  subscribeToEvents,
  pauseSubscription,
  resumeSubscription,
  readEvents,
  failEvents,
  replayEvents,
  startPipeline,
  claimStep,
  renewStep,
  finishStep,
  cancelPipeline,
  approveStep,
  waiveGate,
  closeProject,
  startWorkflow,
  cancelWorkflow,
  secureWebhook,
  configureIntegration,
  storeAnalysis,
  checkTool,
  recordTool,
  inviteMember,
  withdrawInvitation,
  listInvitations,
  listCharges,
  issueToken,
  listTokens,
  revokeToken,
  listDevices,
  revokeDevice,
  verifyCapability,
  estimateCost,
]

export interface ActionsOptions {
  readonly pool: Pool
  readonly catalog: Catalog
  readonly clock: Clock
  readonly random: Random
  /** No two of one name. */
  readonly actions: readonly AnyAction[]
  /** As in `TransactionOptions`. */
  readonly statementTimeoutMs?: number | undefined
  /** Absent: there are no secrets to read. */
  readonly readCredential?: ReadCredential
  /** Called after each commit, as a hint that there is something to read. */
  readonly onCommitted?: () => void
}

export interface Call {
  /** UUID of this call; a repeat has the same. */
  readonly id: string
  readonly action: string
  readonly input: Json
}

export interface Actions {
  /**
   * Runs an action, or answers what it answered before under this id. Throws `not_found` for an unknown action,
   * `bad_message` for input that its schema refuses or an id that was used for something else, `device_revoked`,
   * `token_invalid`, and what the action throws; then nothing was changed, and the same call may be made again.
   */
  call(principal: DevicePrincipal, call: Call): Promise<Json>
}

export function createActions(options: ActionsOptions): Actions {
  const byName = new Map(options.actions.map((action) => [action.name, action]))
  if (byName.size !== options.actions.length)
    throw new TideError('invalid_schema', 'Two actions have the same name.', { remedy: 'Rename one of them.' })
  return {
    async call(principal, call) {
      const action = byName.get(call.action)
      if (!action)
        throw new TideError('not_found', `There is no action ${call.action}.`, {
          remedy: `Call one of: ${[...byName.keys()].join(', ')}.`,
        })
      const run = action.prepare(call.input)
      if (!mayCall(principal, action))
        throw new TideError(
          'forbidden',
          `The ${principal.kind} ${principal.id} may not call ${action.name} here: ${describeScopes(principal)}.`,
          { remedy: 'Use a token with the scope that it needs, or one without scopes.' },
        )
      const { readOnly } = action
      const answer = await inDeviceTransaction({ ...options, readOnly }, principal, async ({ client }) => {
        const context = await contextOf(options, client, principal)
        if (action.repeatable) return run(context)
        const known = await storedAnswer(context.query, principal, call)
        if (known) return known.answer
        const fresh = await run(context)
        const kept = JSON.stringify(fresh, (key, value: unknown) => (action.withheld.includes(key) ? null : value))
        await context.query({ ...storeAnswer, values: [...keyOf(principal, call), call.action, kept] })
        return fresh
      })
      options.onCommitted?.()
      return answer
    },
  }
}

async function contextOf(
  { catalog, random, readCredential, actions }: Omit<ActionsOptions, 'pool' | 'clock'>,
  client: PoolClient,
  principal: DevicePrincipal,
): Promise<ActionContext> {
  const query: SqlQuery = async <R extends object>(statement: { text: string; values?: readonly unknown[] }) =>
    (await client.query<R>({ ...statement, values: [...(statement.values ?? [])] })).rows
  const access = await loadAccess(query, principal)
  checkActive(access, principal)
  return {
    principal,
    actions: actions.map(({ name }) => name),
    access,
    query,
    random,
    async credential({ provider, kind = 'api_key', label = 'default', own = false }) {
      if (!readCredential || (own && principal.kind !== 'user'))
        throw new TideError('not_found', `There is no ${kind} "${label}" of ${provider} of the caller's own.`)
      const { organizationId, id } = principal
      return readCredential(client, { organizationId, userId: own ? id : null, provider, kind, label })
    },
    async rows(name, ids) {
      const table = catalog.synced.get(name)
      if (!table) throw new TideError('unknown_table', `There is no synced table ${name}.`)
      const { rows } = await client.query<(string | null)[]>({
        text: `select ${selectList(table, { embeddings: false })} from "${name}" where id = any($1::uuid[]) order by id`,
        values: [ids],
        ...rawRows,
      })
      return rows.map((raw) =>
        Object.fromEntries(
          Object.entries(toRow(table, raw)).flatMap(([property, value]) =>
            value instanceof Float32Array ? [] : [[property, value]],
          ),
        ),
      )
    },
  }
}

/** $1 id, $2 device, $3 organization, $4 hash of what was asked, $5 action, $6 answer. */
const storeAnswer = {
  name: 'action_store_answer',
  text: `insert into sync.calls (id, device_id, organization_id, input_hash, action, answer) values ($1, $2, $3, $4, $5, $6)`,
} as const

/** A repeat waits here until the first has ended. */
const lockCall = {
  name: 'action_lock_call',
  text: `select pg_advisory_xact_lock(hashtextextended($1::text, 7165746964))`,
} as const

const readAnswer = {
  name: 'action_read_answer',
  text: `select answer, device_id = $2 and organization_id = $3 and input_hash = $4 as same from sync.calls where id = $1`,
} as const

function keyOf({ deviceId, organizationId }: DevicePrincipal, { id, action, input }: Call): readonly unknown[] {
  const asked = createHash('sha256')
    .update(JSON.stringify([action, input]))
    .digest()
  return [id, deviceId, organizationId, asked]
}

async function storedAnswer(
  query: SqlQuery,
  principal: DevicePrincipal,
  call: Call,
): Promise<{ readonly answer: Json } | undefined> {
  await query({ ...lockCall, values: [call.id] })
  const [stored] = await query<{ readonly answer: Json; readonly same: boolean }>({
    ...readAnswer,
    values: [...keyOf(principal, call)],
  })
  if (stored && !stored.same)
    throw new TideError('bad_message', `The id ${call.id} was used for another call.`, {
      remedy: 'Make a new id for each call.',
    })
  return stored
}
