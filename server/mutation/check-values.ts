import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'
import type { Patch, Value } from '../../protocol/rows/row.ts'
import type { Mutation } from '../../protocol/messages/mutation.ts'
import { canonicalValue } from '../../protocol/rows/value.ts'
import { TideError } from '../../protocol/error.ts'
import { refuse, show, type Refusal } from './refusal.ts'

/** Characters of JSON that one mutation may have. */
export const maxMutationLength = 1_000_000

/** What a client sent, checked: columns it may write in canonical form, and those that only the server sets. */
export interface Sent {
  readonly kind: 'sent'
  readonly set: Patch
  readonly base: Patch
  readonly ignored: readonly string[]
}

/**
 * Allow-lists and canonicalises `set` and `base`: unknown columns and values that do not fit are refused here, before
 * the database sees them, with the column and the value in the message.
 */
export function checkSent(table: TableDescriptor, mutation: Pick<Mutation, 'set' | 'base' | 'rowId'>): Sent | RefusedValue {
  const set: Record<string, Value> = {}
  const base: Record<string, Value> = {}
  const ignored: string[] = []
  for (const [property, sent] of Object.entries(mutation.set ?? {})) {
    const column = columnOf(table, property)
    if (!column) return refused(unknownColumn(table, property))
    if (column.class === 'server') {
      if (property !== 'id' || sent !== mutation.rowId) ignored.push(property)
      continue
    }
    const checked = canonical(table, property, column, sent)
    if (checked.kind === 'refused') return checked
    const wrong = outOfBounds(table, property, column, checked.value)
    if (wrong) return refused(wrong)
    set[property] = checked.value
  }
  for (const [property, sent] of Object.entries(mutation.base ?? {})) {
    const column = columnOf(table, property)
    if (!column) return refused(unknownColumn(table, property))
    const checked = canonical(table, property, column, sent)
    if (checked.kind === 'refused') return checked
    base[property] = checked.value
  }
  return { kind: 'sent', set, base, ignored }
}

export interface RefusedValue {
  readonly kind: 'refused'
  readonly refusal: Refusal
}

function refused(refusal: Refusal): RefusedValue {
  return { kind: 'refused', refusal }
}

function columnOf(table: TableDescriptor, property: string): ColumnDescriptor | undefined {
  return Object.hasOwn(table.columns, property) ? table.columns[property] : undefined
}

function unknownColumn(table: TableDescriptor, property: string): Refusal {
  return refuse('unknown_column', `Table ${table.name} has no column ${show(property)}.`)
}

type Canonical = { readonly kind: 'value'; readonly value: Value } | RefusedValue

function canonical(table: TableDescriptor, property: string, column: ColumnDescriptor, sent: Value): Canonical {
  try {
    return { kind: 'value', value: canonicalValue(column, sent) }
  } catch (error) {
    if (!(error instanceof TideError)) throw error
    return refused(refuse('invalid_value', `${table.name}.${property}: ${error.message}`))
  }
}

/** What the column's bounds say against a canonical value. */
export function outOfBounds(table: TableDescriptor, property: string, column: ColumnDescriptor, value: Value): Refusal | undefined {
  const wrong = bound(column, value)
  return wrong ? refuse('invalid_value', `${table.name}.${property} cannot be ${show(value)}: ${wrong}.`) : undefined
}

function bound(column: ColumnDescriptor, value: Value): string | undefined {
  const { values, minLength, maxLength, min, max } = column
  if (value === null) return column.nullable ? undefined : 'it must have a value'
  if (values && !values.includes(value as string)) return `allowed are ${values.join(', ')}`
  if (typeof value === 'string' && (minLength !== undefined || maxLength !== undefined)) {
    // Postgres counts code points, JavaScript UTF-16 units.
    const length = value.length <= (maxLength ?? Infinity) && value.length >= 2 * (minLength ?? 0) ? value.length : [...value].length
    if (minLength !== undefined && length < minLength) return `it has ${length} characters, at least ${minLength} are needed`
    if (maxLength !== undefined && length > maxLength) return `it has ${length} characters, at most ${maxLength} fit`
  }
  if (typeof value === 'number' || column.type === 'numeric') {
    const number = Number(value)
    if (min !== undefined && number < min) return `the least is ${min}`
    if (max !== undefined && number > max) return `the most is ${max}`
  }
  return undefined
}
