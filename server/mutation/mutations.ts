/**
 * Mutations: every write of every client, from the wire to a stored outcome. One push is one transaction:
 *
 *     begin: lock device ─ repeats? ─▶ stored outcomes
 *        │ new ones, in counter order
 *     prefetch: rows for update, rows referred to, open conflicts, access
 *        │ for each:  plan = form → visible? → join conflict → decide → documents, references → authorise both images
 *     write: what is independent goes together; refused? again, one by one in savepoints; groups all or none
 *        │
 *     record: outcomes, device counter, a mark per mutation, repeated ones too ─▶ commit ─▶ onCommitted
 *
 * A repeat of a mutation waits at the lock and then reads what the first came to: exactly once. The rows come back to
 * every client, the writer too, by the read way (hub) and in no other; this room and the hub never call each other.
 */
import type { Clock } from '../../lib/clock.ts'
import { invariant, InvariantError } from '../../lib/invariant.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { TideError } from '../../protocol/error.ts'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { checkActive } from '../scope/access.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import { errorText, silentLog, type Log } from '../telemetry/telemetry.ts'
import {
  CommitRefusedError,
  StatementFailedError,
  type LedgerEntry,
  type MutationStore,
  type MutationTransaction,
} from './mutation-store.ts'
import { checkOrder, unitsOf } from './order.ts'
import { rejectedOutcome } from './outcome.ts'
import type { MutationTime } from './plan.ts'
import { PushRun } from './push-run.ts'
import { refuse, type Refusal } from './refusal.ts'
import { withoutSecrets } from './without-secrets.ts'
import { Workspace } from './workspace.ts'

export interface MutationsOptions {
  readonly store: MutationStore
  readonly catalog: Catalog
  readonly clock: Clock
  readonly log?: Log
  /** Called after each commit, as a hint that there is something to read. */
  readonly onCommitted?: () => void
  readonly observer?: PushObserver
}

/** Hears how each push goes, for metrics and traces. */
export interface PushObserver {
  began(mutations: readonly Mutation[]): PushStages
}

/**
 * Told in this order. A push that is tried again write by write tells `decided` and `committed` for each write; one
 * that fails tells `failed` last.
 */
export interface PushStages {
  /** Before the commit; what is rejected leaves nothing in the log. */
  decided(outcomes: readonly Outcome[]): void
  committed(): void
  answered(outcomes: readonly Outcome[]): void
  failed(code: string): void
}

export interface Mutations {
  /**
   * Applies mutations of one device and answers each, in their order. Throws `device_cloned`, `mutation_out_of_order`,
   * `device_revoked`, `device_principal_mismatch`, `token_invalid`, or what the database failed with; then nothing of
   * what has no answer yet was applied, and all may be sent again.
   */
  push(principal: DevicePrincipal, mutations: readonly Mutation[]): Promise<readonly Outcome[]>
}

export function createMutations(options: MutationsOptions): Mutations {
  const { log = silentLog } = options
  const moments = createMoments(options.clock)
  const commit = async (
    principal: DevicePrincipal,
    mutations: readonly Mutation[],
    stages: PushStages | undefined,
  ): Promise<readonly Outcome[]> => {
    const outcomes = await options.store.transaction(principal, async (transaction) => {
      const decided = await runPush(options, moments, { transaction, principal, mutations })
      stages?.decided(decided)
      return decided
    })
    stages?.committed()
    options.onCommitted?.()
    return outcomes
  }
  return {
    async push(principal, sent) {
      if (sent.length === 0) return []
      const mutations = sent.map((mutation) => withoutSecrets(options.catalog, mutation))
      const stages = options.observer?.began(mutations)
      try {
        const outcomes = await settle(principal, mutations, stages)
        stages?.answered(outcomes)
        return outcomes
      } catch (error) {
        stages?.failed(error instanceof TideError ? error.code : 'internal')
        throw error
      }
    },
  }

  async function settle(
    principal: DevicePrincipal,
    mutations: readonly Mutation[],
    stages: PushStages | undefined,
  ): Promise<readonly Outcome[]> {
    const units = unitsOf(mutations)
    try {
      return await commit(principal, mutations, stages)
    } catch (error) {
      // What took too long together may be quick enough one by one.
      const isSlow = error instanceof TideError && error.code === 'timeout' && units.length > 1
      if (!isFault(error) && !isSlow) throw error
      if (units.length === 1) return settleFailed(error)
    }
    const outcomes: Outcome[] = []
    for (const unit of units)
      outcomes.push(...(await commit(principal, unit, stages).catch((error: unknown) => settleFailed(error, unit))))
    return outcomes

    /**
     * A unit that makes the transaction fail is refused for good: left unanswered it would block its device for ever.
     */
    async function settleFailed(error: unknown, unit: readonly Mutation[] = mutations): Promise<readonly Outcome[]> {
      if (!isFault(error)) throw error
      if (!(error instanceof CommitRefusedError))
        log.error('A mutation failed', { mutations: unit.map(({ id }) => id), error: errorText(error) })
      const refusal =
        error instanceof CommitRefusedError
          ? refuse(error.refusal.code, error.refusal.message)
          : refuse('internal', 'The server failed on this write.')
      const outcomes = await options.store.transaction(principal, (transaction) =>
        refuseAll(transaction, unit, refusal),
      )
      options.onCommitted?.()
      return outcomes
    }
  }
}

/**
 * Whether the push failed because of what is in the mutations, so that it would fail again. Anything else is for the
 * sender to repeat, or for the keeper of the database to mend.
 */
function isFault(error: unknown): boolean {
  return [CommitRefusedError, StatementFailedError, InvariantError, TypeError, RangeError].some(
    (fault) => error instanceof fault,
  )
}

interface Push {
  readonly transaction: MutationTransaction
  readonly principal: DevicePrincipal
  readonly mutations: readonly Mutation[]
}

async function runPush(
  { catalog }: MutationsOptions,
  moment: () => MutationTime,
  { transaction, principal, mutations }: Push,
): Promise<readonly Outcome[]> {
  const ledger = await transaction.begin(mutations)
  const { answered, fresh, recounted } = checkOrder(mutations, ledger)
  if (recounted.length > 0) await transaction.recount(recounted)
  const foreign = ledger.foreign ?? new Set<string>()
  const refused = fresh
    .filter(({ id }) => foreign.has(id))
    .map((mutation) => [mutation.id, usedElsewhere(mutation)] as const)
  const own = fresh.filter(({ id }) => !foreign.has(id))
  const workspace = new Workspace(transaction, catalog, principal)
  // Whoever is suspended just now gets no final answers: the writes wait on the device.
  if (own.length > 0) checkActive(await workspace.access(), principal)
  await workspace.prefetch(own)
  const run = new PushRun({ transaction, workspace, moment, earlier: ledger.outcomes })
  const outcomes = new Map([...answered, ...refused, ...(await run.run(unitsOf(own)))])
  const entries = fresh.map((mutation): LedgerEntry => ({
    id: foreign.has(mutation.id) ? uuidFromKey('sync_mutations', [principal.deviceId, mutation.id]) : mutation.id,
    mutation,
    outcome: outcomeOf(outcomes, mutation),
  }))
  if (entries.length > 0) await transaction.record(entries)
  if (answered.size > 0) await transaction.markAgain([...answered.keys()])
  return mutations.map((mutation) => outcomeOf(outcomes, mutation))
}

async function refuseAll(
  transaction: MutationTransaction,
  mutations: readonly Mutation[],
  refusal: Refusal,
): Promise<readonly Outcome[]> {
  const { answered, fresh, recounted } = checkOrder(mutations, await transaction.begin(mutations))
  if (recounted.length > 0) await transaction.recount(recounted)
  const entries = fresh.map((mutation): LedgerEntry => ({
    id: mutation.id,
    mutation,
    outcome: rejectedOutcome(mutation, refusal),
  }))
  if (entries.length > 0) await transaction.record(entries)
  const outcomes = new Map([...answered, ...entries.map(({ mutation, outcome }) => [mutation.id, outcome] as const)])
  return mutations.map((mutation) => outcomeOf(outcomes, mutation))
}

function outcomeOf(outcomes: ReadonlyMap<string, Outcome>, { id }: Mutation): Outcome {
  const outcome = outcomes.get(id)
  invariant(outcome, `mutation ${id} has an outcome`)
  return outcome
}

/** A copied replica under a new identity sends what the original has sent already: once is enough. */
function usedElsewhere(mutation: Mutation): Outcome {
  return rejectedOutcome(mutation, refuse('device_cloned', `Another device has sent write ${mutation.id} already.`))
}

/** Delete times are of the clock, but never twice the same. */
function createMoments(clock: Clock): () => MutationTime {
  let last = 0
  const deleteTime = (): number => (last = Math.max(clock.now(), last + 1))
  return () => ({ now: clock.now(), deleteTime })
}
