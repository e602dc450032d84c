/**
 * What a mutation does to a row: the pure heart of the room. No database, no clock, no principal: whether the writer
 * may is `authorise.ts`, doing it is `mutations.ts`. The simulation and the property tests call this very function.
 *
 *     table policy + column classes      row now      mutation {set, base, inc}
 *                └──────────────── decide ────────────────┘
 *          insert · update · noop · conflict (with what can be applied all the same) · rejected
 */
import type { Mutation } from '../../protocol/messages/mutation.ts'
import type { Patch, Row, Value } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'
import { valuesEqual } from '../../protocol/rows/value.ts'
import { unreachable } from '../../lib/invariant.ts'
import { checkSent, checkValue, type Sent } from './check-values.ts'
import { columnRule } from './column-rule.ts'
import { mergeColumn } from './merge-column.ts'
import { refuse, show, type Refusal } from './refusal.ts'
import { mayMove } from './transition.ts'

/** The three sides of a column in conflict. */
export interface Disagreement {
  readonly base: Value
  readonly mine: Value
  readonly theirs: Value
}
export type Disagreements = Readonly<Record<string, Disagreement>>

export type ConflictKind = 'field' | 'text' | 'transition' | 'delete_update' | 'update_delete'
export type Increments = Readonly<Record<string, number>>

/** `ignored`: columns that were sent although only the server sets them. */
export type Decision = { readonly ignored: readonly string[] } & (
  | { readonly kind: 'insert'; readonly values: Patch }
  /** `merged`: at least one value is not as sent, or had been written by somebody else already. */
  | { readonly kind: 'update'; readonly set: Patch; readonly inc: Increments; readonly merged: boolean }
  | { readonly kind: 'noop' }
  /** `apply`: what does not overlap and is written all the same, outside groups. */
  | {
      readonly kind: 'conflict'
      readonly conflict: ConflictKind
      readonly apply: Patch
      readonly fields: Disagreements
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

/** Decides one mutation. Throws nothing: whatever is wrong with it is a `rejected`. */
export function decide(input: DecideInput): Decision {
  const { table, row, mutation } = input
  if (table.policy === 'server' || table.direction === 'ro') {
    return rejected(refuse('forbidden', `Only the server writes to ${table.name}.`))
  }
  const sent = checkSent(table, mutation)
  if (sent.kind === 'refused') return rejected(sent.refusal)
  switch (mutation.op) {
    case 'insert':
      return row ? decideRepeatedInsert(table, row, sent) : decideInsert(table, sent)
    case 'patch':
      return row ? decidePatch(input, row, sent) : rejected(notFound(input))
    case 'increment':
      return row ? decideIncrement(input, row) : rejected(notFound(input))
    case 'delete':
      return decideDelete(input, sent)
    case 'restore':
      return decideRestore(input)
    case 'resolve':
      return rejected(
        refuse('invalid_value', `Only a row of sync_conflicts can be resolved, not one of ${table.name}.`),
      )
    default:
      return unreachable(mutation.op)
  }
}

function decideInsert(table: TableDescriptor, sent: Sent): Decision {
  for (const [property, column] of Object.entries(table.columns)) {
    if (column.optional || column.class === 'server' || property in sent.set) continue
    return rejected(refuse('invalid_value', `${table.name}.${property} must have a value, and the insert has none.`))
  }
  return { kind: 'insert', values: sent.set, ignored: sent.ignored }
}

/**
 * An insert of an id that exists: the same row made twice. For deterministic ids that is expected (two devices add the
 * same tag), so the rest of the row is last-wins and a deleted one comes back.
 */
function decideRepeatedInsert(table: TableDescriptor, row: Row, sent: Sent): Decision {
  const deleted = isDeleted(row)
  const differing = Object.entries(sent.set).filter(([property, value]) => differs(table, property, value, row))
  if (table.naturalKey === undefined) {
    if (deleted) return rejected(rowDeleted(table, row))
    if (differing.length === 0) return { kind: 'noop', ignored: sent.ignored }
    const columns = differing.map(([property]) => property).join(', ')
    return rejected(
      refuse('unique_violated', `${table.name} has a row ${show(row['id'])} already, with other values in ${columns}.`),
    )
  }
  const fixed = differing.find(([property]) => table.columns[property]?.class === 'fixed')
  if (fixed) return rejected(fixedColumn(table, fixed[0], fixed[1]))
  const set: Record<string, Value> = Object.fromEntries(differing)
  if (deleted) set['deletedAt'] = null
  if (Object.keys(set).length === 0) return { kind: 'noop', ignored: sent.ignored }
  return { kind: 'update', set, inc: {}, merged: true, ignored: sent.ignored }
}

function decidePatch({ table, ownRow }: DecideInput, row: Row, sent: Sent): Decision {
  if (isDeleted(row)) return patchOfDeleted(table, row, sent)
  const streaming = table.policy === 'append' && row['status'] === 'streaming' && ownRow === true
  const set: Record<string, Value> = {}
  const fields: Record<string, Disagreement> = {}
  const kinds = new Set<ConflictKind>()
  let merged = false
  for (const [property, mine] of Object.entries(sent.set)) {
    const column = table.columns[property]
    if (!column) continue
    const theirs = row[property] ?? null
    const rule = streaming && column.references === undefined ? 'last' : columnRule(table, column)
    if (rule === 'counter') {
      return rejected(
        refuse(
          'invalid_value',
          `${table.name}.${property} is a counter: it cannot be set to ${show(mine)}.`,
          'Send an increment.',
        ),
      )
    }
    if (rule === 'fixed') {
      if (!valuesEqual(column, mine, theirs)) return rejected(fixedColumn(table, property, mine))
      continue
    }
    if (rule !== 'last' && !(property in sent.base)) {
      return rejected(
        refuse(
          'invalid_value',
          `The patch of ${table.name}.${property} has no base.`,
          'Send the value the device saw before its change.',
        ),
      )
    }
    const base = rule === 'last' ? theirs : baseOf(column, sent.base[property] ?? null, theirs)
    const result = mergeColumn(column, rule === 'text', base, mine, theirs)
    if (result.kind === 'same') {
      merged ||= rule !== 'last' && !valuesEqual(column, base, theirs)
      continue
    }
    const isStatus = property === 'status' && table.transitions !== undefined
    if (result.kind === 'conflict') {
      kinds.add(isStatus ? 'transition' : rule === 'text' ? 'text' : 'field')
      fields[property] = { base, mine, theirs }
      if (!valuesEqual(column, result.value, theirs)) set[property] = result.value
      continue
    }
    if (isStatus && !mayMove(table, String(theirs), String(result.value))) {
      kinds.add('transition')
      fields[property] = { base, mine, theirs }
      continue
    }
    if (result.merged && checkValue(table, column, result.value).kind === 'refused') {
      kinds.add(rule === 'text' ? 'text' : 'field')
      fields[property] = { base, mine, theirs }
      continue
    }
    merged ||= result.merged
    set[property] = result.value
  }
  const [first = 'field', ...others] = kinds
  if (kinds.size > 0) {
    return {
      kind: 'conflict',
      conflict: others.length === 0 ? first : 'field',
      apply: set,
      fields,
      ignored: sent.ignored,
    }
  }
  if (Object.keys(set).length === 0) return { kind: 'noop', ignored: sent.ignored }
  return { kind: 'update', set, inc: {}, merged, ignored: sent.ignored }
}

/** A device does not know what the server fills in at an insert: no base where there must be a value means "what you chose". */
function baseOf(column: ColumnDescriptor, base: Value, theirs: Value): Value {
  return base === null && !column.nullable ? theirs : base
}

/** The row stays deleted, and what was written to it is kept in a conflict. */
function patchOfDeleted(table: TableDescriptor, row: Row, sent: Sent): Decision {
  const differing = Object.entries(sent.set).filter(([property, value]) => differs(table, property, value, row))
  if (differing.length === 0) return { kind: 'noop', ignored: sent.ignored }
  const fixed = differing.find(([property]) => {
    const column = table.columns[property]
    return column !== undefined && ['fixed', 'counter'].includes(columnRule(table, column))
  })
  if (fixed) return rejected(fixedColumn(table, fixed[0], fixed[1]))
  const fields = differing.map(([property, mine]) => {
    const theirs = row[property] ?? null
    return [property, { base: sent.base[property] ?? theirs, mine, theirs }] as const
  })
  return {
    kind: 'conflict',
    conflict: 'delete_update',
    apply: {},
    fields: Object.fromEntries(fields),
    ignored: sent.ignored,
  }
}

function decideIncrement({ table, mutation }: DecideInput, row: Row): Decision {
  if (isDeleted(row)) return rejected(rowDeleted(table, row))
  const inc = Object.entries(mutation.inc ?? {}).filter(([, amount]) => amount !== 0)
  for (const [property, amount] of inc) {
    const column = Object.hasOwn(table.columns, property) ? table.columns[property] : undefined
    if (column?.class !== 'counter') {
      return rejected(
        refuse(
          'unknown_column',
          `${table.name}.${property} is not a counter, so it cannot be incremented by ${amount}.`,
        ),
      )
    }
    const whole = column.type === 'integer' || column.type === 'bigint'
    if (!Number.isFinite(amount) || (whole && !Number.isSafeInteger(amount))) {
      return rejected(refuse('invalid_value', `${table.name}.${property} cannot be incremented by ${amount}.`))
    }
    const sum = checkValue(table, column, Number(row[property] ?? 0) + amount)
    if (sum.kind === 'refused') return rejected(sum.refusal)
  }
  if (inc.length === 0) return { kind: 'noop', ignored: [] }
  return { kind: 'update', set: {}, inc: Object.fromEntries(inc), merged: false, ignored: [] }
}

/**
 * A delete may carry in `base` the row as the device saw it, its own pending edits included. What differs from that
 * was changed by somebody else, and under policy `merge` the row then stays.
 */
function decideDelete({ table, row, now }: DecideInput, sent: Sent): Decision {
  if (!('deletedAt' in table.columns)) return rejected(refuse('forbidden', `Rows of ${table.name} cannot be deleted.`))
  if (!row || isDeleted(row)) return { kind: 'noop', ignored: sent.ignored }
  const changed =
    table.policy === 'merge'
      ? Object.entries(sent.base).filter(([property, base]) => countsAsChange(table, property, base, row))
      : []
  if (changed.length > 0) {
    const fields = changed.map(
      ([property, base]) => [property, { base, mine: null, theirs: row[property] ?? null }] as const,
    )
    return {
      kind: 'conflict',
      conflict: 'update_delete',
      apply: {},
      fields: Object.fromEntries(fields),
      ignored: sent.ignored,
    }
  }
  return {
    kind: 'update',
    set: { deletedAt: new Date(now).toISOString() },
    inc: {},
    merged: false,
    ignored: sent.ignored,
  }
}

function countsAsChange(table: TableDescriptor, property: string, base: Value, row: Row): boolean {
  const column = table.columns[property]
  if (!column || column.class === 'server' || column.class === 'silent' || column.class === 'counter') return false
  return differs(table, property, base, row)
}

function decideRestore(input: DecideInput): Decision {
  const { table, row } = input
  if (!('deletedAt' in table.columns))
    return rejected(refuse('forbidden', `Rows of ${table.name} cannot be deleted or restored.`))
  if (!row) return rejected(notFound(input))
  if (!isDeleted(row)) return { kind: 'noop', ignored: [] }
  return { kind: 'update', set: { deletedAt: null }, inc: {}, merged: false, ignored: [] }
}

/** Whether the row is soft-deleted. */
export function isDeleted(row: Row): boolean {
  return (row['deletedAt'] ?? null) !== null
}

/** Vectors are not read for deciding, so what is not in the row is not compared. */
function differs(table: TableDescriptor, property: string, value: Value, row: Row): boolean {
  const column = table.columns[property]
  return property in row && column !== undefined && !valuesEqual(column, value, row[property] ?? null)
}

function rejected(error: Refusal): Decision {
  return { kind: 'rejected', error, ignored: [] }
}

function notFound({ table, mutation }: DecideInput): Refusal {
  return refuse('not_found', `${table.name} has no row ${mutation.rowId} that is visible here.`)
}

function rowDeleted(table: TableDescriptor, row: Row): Refusal {
  return refuse('row_deleted', `Row ${show(row['id'])} of ${table.name} was deleted at ${show(row['deletedAt'])}.`)
}

function fixedColumn(table: TableDescriptor, property: string, value: Value): Refusal {
  return refuse(
    'unknown_column',
    `${table.name}.${property} is set at the insert and never again; it cannot become ${show(value)}.`,
  )
}
