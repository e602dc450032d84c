import type { Mutation } from '../../protocol/messages/mutation.ts'
import type { Patch, Row, Value } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { valuesEqual } from '../../protocol/rows/value.ts'
import { refuse, show, type Refusal } from './refusal.ts'

/** The three sides of a column in conflict. */
export interface Disagreement {
  readonly base: Value
  readonly mine: Value
  readonly theirs: Value
}
export type Disagreements = Readonly<Record<string, Disagreement>>

export type ConflictKind = 'field' | 'text' | 'unique' | 'transition' | 'delete_update' | 'update_delete'
export type Increments = Readonly<Record<string, number>>

/**
 * `ignored`: columns that were sent although only the server sets them. `texts`: what was merged line by line, and of
 * what.
 */
export type Decision = { readonly ignored: readonly string[] } & (
  | { readonly kind: 'insert'; readonly values: Patch }
  /** `merged`: at least one value is not as sent, or had been written by somebody else already. */
  | {
      readonly kind: 'update'
      readonly set: Patch
      readonly inc: Increments
      readonly merged: boolean
      readonly texts?: Disagreements
    }
  | { readonly kind: 'noop' }
  /** `apply`: what does not overlap and is written all the same, outside groups. */
  | {
      readonly kind: 'conflict'
      readonly conflict: ConflictKind
      readonly apply: Patch
      readonly fields: Disagreements
      readonly texts?: Disagreements
    }
  | { readonly kind: 'rejected'; readonly error: Refusal }
)

export interface DecideInput {
  readonly table: TableDescriptor
  /** The row as it is now, deleted ones included; null when there is none. */
  readonly row: Row | null
  readonly mutation: Pick<Mutation, 'op' | 'rowId' | 'set' | 'base' | 'inc'>
  /** Server time, milliseconds since 1970. */
  readonly now: number
  /** Whether the row was made by the writing device: it may complete a message that it is still streaming. */
  readonly ownRow?: boolean
}

/** Whether the row is soft-deleted. */
export function isDeleted(row: Row): boolean {
  return (row['deletedAt'] ?? null) !== null
}

/** Vectors are not read for deciding, so what is not in the row is not compared. */
export function differs(table: TableDescriptor, property: string, value: Value, row: Row): boolean {
  const column = table.columns[property]
  return property in row && column !== undefined && !valuesEqual(column, value, row[property] ?? null)
}

export function rejected(error: Refusal): Decision {
  return { kind: 'rejected', error, ignored: [] }
}

export function notFound({ table, mutation }: DecideInput): Refusal {
  return refuse('not_found', `${table.name} has no row ${mutation.rowId} that is visible here.`)
}

export function rowDeleted(table: TableDescriptor, row: Row): Refusal {
  return refuse('row_deleted', `Row ${show(row['id'])} of ${table.name} was deleted at ${show(row['deletedAt'])}.`)
}

export function fixedColumn(table: TableDescriptor, property: string, value: Value): Refusal {
  return refuse(
    'unknown_column',
    `${table.name}.${property} is set at the insert and never again; it cannot become ${show(value)}.`,
  )
}
