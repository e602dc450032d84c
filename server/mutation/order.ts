import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import { TideError } from '../../protocol/error.ts'
import type { DeviceLedger } from './mutation-store.ts'
import { refuse } from './refusal.ts'

export interface Ordered {
  /** Answers that are known already, by mutation id. */
  readonly answered: ReadonlyMap<string, Outcome>
  /** What is new, in counter order. */
  readonly fresh: readonly Mutation[]
  /**
   * What is known and now has the next counter: of a device that counts anew, because an older ledger was restored in
   * between.
   */
  readonly recounted: readonly Mutation[]
}

/**
 * Tells repeats from new mutations by the device's ledger. Counters of new and recounted ones go on where the ledger
 * ends, without gap. Throws `device_cloned` when a counter was used by another mutation, `mutation_out_of_order` when
 * one is skipped; both mean that nothing of the push is applied.
 */
export function checkOrder(mutations: readonly Mutation[], ledger: DeviceLedger): Ordered {
  const answered = new Map<string, Outcome>()
  const fresh: Mutation[] = []
  const recounted: Mutation[] = []
  let expected = ledger.lastClientSeq + 1
  for (const mutation of mutations) {
    const { id, clientSeq } = mutation
    const stored = ledger.outcomes.get(id)
    if (stored) {
      answered.set(id, stored.outcome)
      if (clientSeq === expected) {
        recounted.push(mutation)
        expected++
      }
    } else if (clientSeq <= ledger.lastClientSeq) {
      const other = ledger.idsBySeq.get(clientSeq)
      if (other !== undefined) {
        throw new TideError(
          'device_cloned',
          `Write number ${clientSeq} of this device was ${other} before, and is ${id} now.`,
        )
      }
      answered.set(id, forgotten(mutation))
    } else if (clientSeq !== expected) {
      throw new TideError(
        'mutation_out_of_order',
        `Write ${id} has number ${clientSeq}, and ${expected} is the next of this device.`,
      )
    } else {
      fresh.push(mutation)
      expected++
    }
  }
  return { answered, fresh, recounted }
}

/** A repeat from before the ledger's retention: it was answered, and must not be applied twice. */
function forgotten({ id, clientSeq }: Mutation): Outcome {
  const error = refuse(
    'outcome_forgotten',
    `Write ${id} was answered so long ago that its outcome is no longer stored.`,
  )
  return { mutationId: id, clientSeq, kind: 'rejected', error }
}

/** Cuts mutations into what must be applied together: single ones, and groups, which follow each other without gap. */
export function unitsOf(mutations: readonly Mutation[]): readonly (readonly Mutation[])[] {
  const units: Mutation[][] = []
  for (const mutation of mutations) {
    const last = units.at(-1)
    if (last && mutation.group !== undefined && last[0]?.group === mutation.group) last.push(mutation)
    else units.push([mutation])
  }
  return units
}
