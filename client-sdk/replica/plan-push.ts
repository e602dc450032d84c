import { errorCodes } from '../../protocol/error-codes.ts'
import type { ErrorBody } from '../../protocol/error.ts'
import type { Mutation } from '../../protocol/messages/mutation.ts'
import { fitsPush, pushBytes, selectPush, type PushLimits } from '../outbox/select-push.ts'
import type { OutboxEntry } from '../store/store.ts'
import type { Mirror } from './mirror.ts'
import { parkDependants } from './plan-outcomes.ts'
import type { Step } from './step.ts'

/** What a server says in its welcome about pushes. */
export interface PushTerms {
  /** What it takes in one push. */
  readonly most: PushLimits
  /** The highest counter in its ledger: it has answered all writes up to there. */
  readonly answered: number
}

/**
 * The writes to send after counter `after`; those that were never sent get their counter. Null: the next unit is more
 * than the server takes in one push. The step parks it, and what comes behind it is asked for anew.
 */
export function planPush(
  step: Step,
  mirror: Mirror,
  request: { readonly after: number; readonly limits: PushLimits; readonly terms: PushTerms },
): readonly Mutation[] | null {
  const { after, limits, terms } = request
  const sent = mirror.outbox.syncing.filter((entry) => entry.mutation.clientSeq > after)
  const chosen = selectPush(queue(sent, mirror.outbox.local), {
    mutations: Math.min(limits.mutations, terms.most.mutations),
    bytes: Math.min(limits.bytes, terms.most.bytes),
  })
  if (!fitsPush(chosen, terms.most)) {
    if (chosen.every(({ mutation }) => mutation.clientSeq > 0 && mutation.clientSeq <= terms.answered))
      return chosen.map(({ mutation }) => withoutValues(mutation))
    park(step, mirror, chosen, tooLarge(chosen, terms.most))
    return null
  }
  let { clientSeq } = mirror.meta
  const mutations = chosen.map((entry): Mutation => {
    if (entry.status === 'syncing') return entry.mutation
    clientSeq += 1
    const mutation = { ...entry.mutation, clientSeq }
    step.put({ ...entry, status: 'syncing', mutation })
    return mutation
  })
  if (clientSeq !== mirror.meta.clientSeq) step.setMeta({ clientSeq })
  return mutations
}

/**
 * Parks writes that can never be sent, with what depends on them. Sent ones after them go again, counted on from where
 * these were: the ledger takes no gaps.
 */
function park(step: Step, mirror: Mirror, unit: readonly OutboxEntry[], error: ErrorBody): void {
  const ids = unit.map(({ mutation }) => mutation.id)
  for (const entry of unit) {
    const outcome = { mutationId: entry.mutation.id, clientSeq: 0, kind: 'rejected' as const, error }
    step.put({ ...entry, status: 'rejected', outcome, mutation: { ...entry.mutation, clientSeq: 0 } })
  }
  const first = unit[0]?.mutation.clientSeq ?? 0
  if (first > 0) countFrom(step, mirror, first, new Set(ids))
  parkDependants(step, ids, mirror.outbox.entries)
}

function countFrom(step: Step, mirror: Mirror, first: number, without: ReadonlySet<string>): void {
  const later = mirror.outbox.syncing.filter(({ mutation }) => mutation.clientSeq >= first && !without.has(mutation.id))
  later.forEach((entry, index) => step.put({ ...entry, mutation: { ...entry.mutation, clientSeq: first + index } }))
  step.setMeta({ clientSeq: first - 1 + later.length })
}

/** The ledger knows the write by its id and counter, and answers what it answered before. */
function withoutValues({ set: _set, base: _base, ...mutation }: Mutation): Mutation {
  return mutation
}

function tooLarge(unit: readonly OutboxEntry[], { mutations, bytes }: PushLimits): ErrorBody {
  const what = unit.length === 1 ? 'The write' : `The transaction of ${unit.length} writes`
  return {
    code: 'message_too_large',
    message: `${what} has ${pushBytes(unit)} bytes; the server takes ${bytes} and ${mutations} writes in one push.`,
    remedy: errorCodes.message_too_large.remedy,
  }
}

function* queue(sent: Iterable<OutboxEntry>, unsent: Iterable<OutboxEntry>): Iterable<OutboxEntry> {
  yield* sent
  yield* unsent
}
