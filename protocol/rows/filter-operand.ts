import { canonicalJson, isStorableText } from './canonical-json.ts'
import { decimalPattern } from './compare.ts'
import { filterLimits } from './filter.ts'
import { isoToMs, msToIso } from './iso-time.ts'
import { isJsonObject } from './json-equal.ts'
import type { Json } from './row.ts'
import type { ColumnDescriptor, ColumnType } from './table.ts'

export type OperatorName =
  | 'eq'
  | 'ne'
  | 'lt'
  | 'lte'
  | 'gt'
  | 'gte'
  | 'in'
  | 'notIn'
  | 'like'
  | 'ilike'
  | 'isNull'
  | 'contains'

export type CheckedOperand = { readonly value: Json } | { readonly fault: string }

const equality = ['eq', 'ne', 'in', 'notIn', 'isNull'] as const
const ordered = [...equality, 'lt', 'lte', 'gt', 'gte'] as const

/** Longest decimal number in a filter. */
const maxDecimal = 200

/**
 * What a filter can ask of a column of this type. `interval`, `inet`, `bytea` and `vector` have several texts for one
 * value, so that JavaScript and Postgres would disagree about equality; they can only be asked for NULL.
 */
export function operatorsOf(type: ColumnType): readonly OperatorName[] {
  switch (type) {
    case 'text':
      return [...ordered, 'like', 'ilike']
    case 'uuid':
    case 'integer':
    case 'bigint':
    case 'numeric':
    case 'double':
    case 'timestamptz':
    case 'date':
      return ordered
    case 'boolean':
      return equality
    case 'jsonb':
    case 'text[]':
      return ['contains', 'isNull']
    default:
      return ['isNull']
  }
}

/** Checks what an operator compares with and brings it into canonical form. The operator is one of the column's. */
export function checkOperand(column: ColumnDescriptor, operator: OperatorName, operand: unknown): CheckedOperand {
  switch (operator) {
    case 'isNull':
      return typeof operand === 'boolean' ? { value: operand } : { fault: 'must be true or false' }
    case 'like':
    case 'ilike':
      return checkPattern(operand)
    case 'in':
    case 'notIn':
      return checkList(column, operand)
    case 'contains':
      return column.type === 'jsonb' ? checkJson(operand) : checkScalar('text', operand)
    default:
      return checkScalar(column.type, operand)
  }
}

function checkList(column: ColumnDescriptor, operand: unknown): CheckedOperand {
  if (!Array.isArray(operand)) return { fault: 'must be a list' }
  const elements: readonly unknown[] = operand
  if (elements.length > filterLimits.list)
    return { fault: `has ${elements.length} elements; ${filterLimits.list} are allowed` }
  const values: Json[] = []
  for (const element of elements) {
    const checked = checkScalar(column.type, element)
    if ('fault' in checked) return { fault: `has an element that ${checked.fault}` }
    values.push(checked.value)
  }
  return { value: values }
}

function checkPattern(operand: unknown): CheckedOperand {
  const checked = checkScalar('text', operand)
  if ('fault' in checked || typeof checked.value !== 'string') return checked
  const pattern = checked.value
  if (pattern.length > filterLimits.pattern) return { fault: `is longer than ${filterLimits.pattern} characters` }
  const escapes = /\\*$/.exec(pattern)?.[0].length ?? 0
  return escapes % 2 === 0 ? checked : { fault: 'ends with a lone \\, which escapes nothing' }
}

function checkScalar(type: ColumnType, value: unknown): CheckedOperand {
  if (value === null) return { fault: 'must not be null; ask with isNull' }
  switch (type) {
    case 'integer':
    case 'bigint':
      return typeof value === 'number' && Number.isSafeInteger(value)
        ? { value }
        : mustBe('a whole number below 2^53', value)
    case 'double':
      return isFiniteNumber(value) ? { value } : mustBe('a finite number', value)
    case 'numeric':
      return isFiniteNumber(value) || isDecimal(value) ? { value } : mustBe('a number or a decimal string', value)
    case 'boolean':
      return typeof value === 'boolean' ? { value } : mustBe('true or false', value)
    case 'uuid':
      return isText(value) && uuidPattern.test(value) ? { value } : mustBe('a UUID in lower case', value)
    case 'timestamptz':
      return checkTime(value)
    case 'date':
      return isText(value) &&
        value.length === 10 &&
        !value.startsWith('0000') &&
        isoToMs(`${value}T00:00:00.000Z`) !== undefined
        ? { value }
        : mustBe('a date such as "2026-11-22"', value)
    default:
      return isText(value) ? { value } : mustBe('well-formed text without NUL', value)
  }
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
/** A date and time with its zone: without one it would mean another instant on every machine. */
const timePattern = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/

function checkTime(value: unknown): CheckedOperand {
  const fault = mustBe('a time with zone such as "2026-11-22T01:42:36.123Z"', value)
  if (!isText(value) || !timePattern.test(value)) return fault
  const ms = Date.parse(value)
  if (Number.isNaN(ms)) return fault
  const text = msToIso(ms)
  // Year 0 and years of more digits are written differently by Postgres.
  return text.length === 24 && !text.startsWith('0000') ? { value: text } : fault
}

function checkJson(operand: unknown): CheckedOperand {
  const value = canonicalJson(operand)
  if (value === undefined) return { fault: 'must be plain JSON' }
  const isFlat =
    Array.isArray(value) && value.every((element: unknown) => element === null || typeof element !== 'object')
  return isJsonObject(value) || isFlat
    ? { value }
    : mustBe('an object of top-level entries, or a list of plain values', value)
}

function isFiniteNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

function isDecimal(value: unknown): value is string {
  return typeof value === 'string' && value.length <= maxDecimal && decimalPattern.test(value)
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && isStorableText(value)
}

function mustBe(what: string, value: unknown): { readonly fault: string } {
  return { fault: `must be ${what}, not ${describe(value)}` }
}

function describe(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object'
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : String(value)
}
