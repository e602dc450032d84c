import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'
import type { Patch, Value } from '../../protocol/rows/row.ts'
import type { Mutation } from '../../protocol/messages/mutation.ts'
import { canonicalValue } from '../../protocol/rows/value.ts'
import { TideError } from '../../protocol/error.ts'
import { refuse, show, type Refusal } from './refusal.ts'

/** What a client sent, checked: columns it may write in canonical form, and those that only the server sets. */
export interface Sent {
  readonly kind: 'sent'
  readonly set: Patch
  readonly base: Patch
  readonly ignored: readonly string[]
}

export interface RefusedValue {
  readonly kind: 'refused'
  readonly refusal: Refusal
}

type Checked = { readonly kind: 'value'; readonly value: Value } | RefusedValue

/**
 * Allow-lists and canonicalises `set` and `base`: unknown columns and values that do not fit are refused here, before
 * the database sees them, with the column and the value in the message.
 */
export function checkSent(
  table: TableDescriptor,
  mutation: Pick<Mutation, 'set' | 'base' | 'rowId'>,
): Sent | RefusedValue {
  const set: Record<string, Value> = {}
  const base: Record<string, Value> = {}
  const ignored: string[] = []
  for (const [property, sent] of Object.entries(mutation.set ?? {})) {
    const column = columnOf(table, property)
    if (!column) return unknownColumn(table, property)
    if (column.class === 'server') {
      if (property !== 'id' || sent !== mutation.rowId) ignored.push(property)
      continue
    }
    const checked = checkValue(table, column, sent)
    if (checked.kind === 'refused') return checked
    set[property] = checked.value
  }
  for (const [property, sent] of Object.entries(mutation.base ?? {})) {
    const column = columnOf(table, property)
    if (!column) return unknownColumn(table, property)
    const checked = checkValue(table, unbounded(column), sent)
    if (checked.kind === 'refused') return checked
    base[property] = checked.value
  }
  return { kind: 'sent', set, base, ignored }
}

/** The canonical value, or what is wrong with it. */
export function checkValue(table: TableDescriptor, column: ColumnDescriptor, value: unknown): Checked {
  try {
    return { kind: 'value', value: canonicalValue(column, value) }
  } catch (error) {
    if (!(error instanceof TideError)) throw error
    return { kind: 'refused', refusal: refuse(error.code, `Table ${table.name}: ${error.message}`, error.remedy) }
  }
}

/** What a device saw may be older than today's bounds of the column, or its own guess of a default. */
function unbounded(column: ColumnDescriptor): ColumnDescriptor {
  let loose = unboundedColumns.get(column)
  if (!loose) {
    const { values: _values, minLength: _minLength, maxLength: _maxLength, min: _min, max: _max, ...rest } = column
    loose = { ...rest, nullable: true }
    unboundedColumns.set(column, loose)
  }
  return loose
}
const unboundedColumns = new WeakMap<ColumnDescriptor, ColumnDescriptor>()

function columnOf(table: TableDescriptor, property: string): ColumnDescriptor | undefined {
  return Object.hasOwn(table.columns, property) ? table.columns[property] : undefined
}

function unknownColumn(table: TableDescriptor, property: string): RefusedValue {
  return { kind: 'refused', refusal: refuse('unknown_column', `Table ${table.name} has no column ${show(property)}.`) }
}
