import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import type { Patch, Row } from '../../protocol/rows/row.ts'
import type { SyncedTable } from '../catalog/catalog.ts'
import type { Cascade } from '../scope/cascade.ts'
import type { Write } from './mutation-store.ts'
import { rejectedOutcome } from './outcome.ts'
import type { Refusal } from './refusal.ts'

/** How one mutation will be carried out. `settle` makes the outcome of the rows as stored, in the order of `writes`. */
export type Plan =
  | { readonly kind: 'answered'; readonly outcome: Outcome }
  | {
      readonly kind: 'writes'
      readonly writes: readonly Write[]
      readonly cascades: readonly CascadeOf[]
      readonly settle: (rows: readonly Row[]) => Outcome
    }

export interface CascadeOf {
  readonly table: string
  readonly id: string
  readonly change: Cascade
}

/** When a mutation is carried out. */
export interface MutationTime {
  /** Server time, milliseconds since 1970. */
  readonly now: number
  /**
   * A time for a delete that this process gives out once: it is the id by which a restore finds what the delete took.
   */
  readonly deleteTime: () => number
}

/** A delete takes the row's children along, a restore brings back those that went with it. */
export function cascadesOf(table: SyncedTable, row: Row | null, values: Patch): readonly CascadeOf[] {
  const deletedAt = values['deletedAt']
  const was = row?.['deletedAt']
  if (!row || deletedAt === undefined) return []
  const id = String(row['id'])
  if (typeof deletedAt === 'string') return [{ table: table.name, id, change: { kind: 'delete', deletedAt } }]
  return typeof was === 'string' ? [{ table: table.name, id, change: { kind: 'restore', deletedAt: was } }] : []
}

export function answeredPlan(outcome: Outcome): Plan {
  return { kind: 'answered', outcome }
}

export function refusedPlan(mutation: Mutation, { code, message, remedy }: Refusal): Plan {
  return answeredPlan(rejectedOutcome(mutation, { code, message, remedy }))
}
