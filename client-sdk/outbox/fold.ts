import type { OutboxEntry } from '../store/store.ts'

type Unsent = OutboxEntry['mutation']

/** What a fold needs to know of the writes around. */
export interface FoldContext {
  /** The last write of the row that has not ended. */
  readonly last: OutboxEntry | undefined
  /** The write that a dependency names. */
  readonly positionOf: (id: string) => number | undefined
  /** Whether any write names this one as its dependency. */
  readonly isReferenced: (id: string) => boolean
}

/**
 * Merges a new write of a row into the last one, or answers null. Only what was never sent folds, only within one
 * group, only if nothing depends on the earlier one, and only if the new one depends on nothing that came after it:
 * otherwise the server would see the writes in an order in which they were not made. The result has the same effect as
 * both.
 */
export function fold(next: Unsent, context: FoldContext): OutboxEntry | null {
  const { last } = context
  if (last === undefined || last.status !== 'local' || last.settled || last.mutation.group !== next.group) return null
  if (context.isReferenced(last.mutation.id)) return null
  const added = (next.dependsOn ?? []).filter((id) => id !== last.mutation.id)
  if (added.some((id) => (context.positionOf(id) ?? 0) > last.position)) return null
  const merged = mergeEffects(last.mutation, next)
  if (merged === null) return null
  const dependsOn = [...new Set([...(last.mutation.dependsOn ?? []), ...added])]
  return { ...last, mutation: dependsOn.length === 0 ? merged : { ...merged, dependsOn } }
}

/**
 * True if a delete leaves nothing to send, because the row was never anywhere but here: its only write is an insert
 * that was not sent, alone, and nothing builds upon it.
 */
export function cancels(next: Unsent, pending: readonly OutboxEntry[], isReferenced: (id: string) => boolean): boolean {
  const [insert, ...others] = pending
  if (next.op !== 'delete' || insert === undefined || others.length > 0) return false
  const { mutation, status } = insert
  return mutation.op === 'insert' && status === 'local' && mutation.group === next.group && !isReferenced(mutation.id)
}

function mergeEffects(first: Unsent, next: Unsent): Unsent | null {
  if (first.op === 'insert' && next.op === 'patch') {
    // An insert has no base but the row from which it takes a place.
    const id = first.base?.['id'] === undefined ? next.base?.['id'] : first.base['id']
    return { ...first, set: { ...first.set, ...next.set }, ...(id === undefined ? {} : { base: { id } }) }
  }
  if (first.op === 'patch' && next.op === 'patch') {
    // The base of a column stays the value before its first touch.
    return { ...first, set: { ...first.set, ...next.set }, base: { ...next.base, ...first.base } }
  }
  if (first.op === 'increment' && next.op === 'increment')
    return { ...first, inc: addAmounts(first.inc ?? {}, next.inc ?? {}) }
  return null
}

function addAmounts(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  const sums: Record<string, number> = { ...a }
  for (const [column, amount] of Object.entries(b)) sums[column] = (sums[column] ?? 0) + amount
  return sums
}
