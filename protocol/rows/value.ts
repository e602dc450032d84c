/**
 * Values of rows in their one canonical form, the same on server, wire and replica; a device whose values were only
 * nearly canonical would conflict with itself.
 *
 * | column | canonical |
 * |---|---|
 * | uuid | lower case |
 * | text, inet, interval | string |
 * | integer, bigint, double | number; whole ones are safe integers |
 * | numeric | number up to 15 digits, else a decimal string; rounded to the column's scale |
 * | timestamptz | `2026-11-22T01:42:36.123Z` |
 * | date | `2026-11-22` |
 * | jsonb | JSON |
 * | text[] | strings, each once |
 * | bytea | base64 |
 * | vector | Float32Array; base64 of its float32 (little-endian) inside JSON |
 */
import { z } from 'zod'
import { TideError } from '../error.ts'
import { fromBase64, toBase64, vectorFromBase64 } from './base64.ts'
import { canonicalJson, isStorableText } from './canonical-json.ts'
import { roundDecimal } from './decimal.ts'
import { isoToMs, msToIso } from './iso-time.ts'
import { jsonEqual } from './json-equal.ts'
import type { Json, Value } from './row.ts'
import type { ColumnDescriptor } from './table.ts'

/**
 * The canonical form of a value that somebody wants to write. Accepts also what JavaScript offers more naturally: Date,
 * bigint, Uint8Array, number[] and base64 for vectors. Throws `invalid_value` with column and value when it does not
 * fit the column.
 */
export function canonicalValue(column: ColumnDescriptor, value: unknown): Value {
  if (value === null || value === undefined) {
    if (column.nullable) return null
    throw invalid(column, value, 'it must have a value')
  }
  const canonical = canonicalise(column, value)
  if (canonical === undefined) throw invalid(column, value, `expected ${expected(column)}`)
  const wrong = outOfBounds(column, canonical)
  if (wrong) throw invalid(column, value, wrong)
  return canonical
}

/** Whether two canonical values are the same to the column: key order of jsonb and order of sets do not count. */
export function valuesEqual(column: ColumnDescriptor, a: Value, b: Value): boolean {
  if (a === b) return true
  if (a === null || b === null) return false
  if (column.type === 'vector') return a instanceof Float32Array && b instanceof Float32Array && sameNumbers(a, b)
  if (a instanceof Float32Array || b instanceof Float32Array) return false
  if (column.type === 'text[]' && isList(a) && isList(b)) return sameSet(a, b)
  return jsonEqual(a, b)
}

/** Parses the wire form of a column's values (vectors as base64) to the canonical form. */
export function columnSchema(column: ColumnDescriptor): z.ZodType<Value> {
  return z.unknown().transform((value, context): Value => {
    try {
      return canonicalValue(column, value)
    } catch (error) {
      if (!(error instanceof TideError)) throw error
      context.addIssue({ code: 'custom', message: error.message })
      return z.NEVER
    }
  })
}

/** The canonical value, or undefined when `value` is of another type. */
function canonicalise(column: ColumnDescriptor, value: unknown): Value | undefined {
  switch (column.type) {
    case 'uuid':
      return matching(
        /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
        typeof value === 'string' ? value.toLowerCase() : value,
      )
    case 'text':
      return typeof value === 'string' && isStorableText(value) ? value : undefined
    case 'integer':
      return whole(value, 2 ** 31 - 1)
    case 'bigint':
      return whole(value, Number.MAX_SAFE_INTEGER)
    case 'double':
      return typeof value === 'number' && Number.isFinite(value) ? value + 0 : undefined
    case 'numeric':
      return numeric(column, value)
    case 'boolean':
      return typeof value === 'boolean' ? value : undefined
    case 'timestamptz':
      return time(value)
    case 'date':
      return typeof value === 'string' && inYears(`${value}T00:00:00.000Z`) ? value : undefined
    case 'interval':
      return matching(/^[-+PTYMDHWS0-9.:a-z ]{1,100}$/, value)
    case 'inet':
      return matching(/^[0-9a-f:.]{2,45}(\/\d{1,3})?$/, typeof value === 'string' ? value.toLowerCase() : value)
    case 'jsonb':
      return canonicalJson(value)
    case 'text[]':
      return set(value)
    case 'bytea':
      return value instanceof Uint8Array
        ? toBase64(value)
        : typeof value === 'string' && fromBase64(value)
          ? value
          : undefined
    case 'vector':
      return vector(column, value)
  }
}

function matching(pattern: RegExp, value: unknown): string | undefined {
  return typeof value === 'string' && pattern.test(value) ? value : undefined
}

function whole(value: unknown, largest: number): number | undefined {
  const number = typeof value === 'bigint' ? Number(value) : value
  return typeof number === 'number' && Number.isInteger(number) && Math.abs(number) <= largest ? number + 0 : undefined
}

function numeric({ precision = 15, scale = 0 }: ColumnDescriptor, value: unknown): number | string | undefined {
  if (typeof value !== 'number' && typeof value !== 'string') return undefined
  const rounded = roundDecimal(String(value), precision, scale)
  return rounded !== undefined && precision <= 15 ? Number(rounded) : rounded
}

function time(value: unknown): string | undefined {
  if (typeof value === 'string' && inYears(value)) return value
  // A time without zone would mean another instant on each machine.
  const isZoned = typeof value === 'string' && /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)$/i.test(value)
  const ms = value instanceof Date ? value.getTime() : isZoned ? Date.parse(value) : Number.NaN
  const iso = Number.isNaN(ms) ? '' : msToIso(ms)
  return inYears(iso) ? iso : undefined
}

/** Canonical times of the years 1 to 9999: PostgreSQL has no year 0. */
function inYears(iso: string): boolean {
  return isoToMs(iso) !== undefined && !iso.startsWith('0000')
}

function set(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined
  const texts: string[] = value.filter((element) => typeof element === 'string' && isStorableText(element))
  return texts.length === value.length ? [...new Set(texts)] : undefined
}

function vector({ dimension }: ColumnDescriptor, value: unknown): Float32Array | undefined {
  const numbers =
    typeof value === 'string' ? vectorFromBase64(value) : value instanceof Float32Array ? value : fromNumbers(value)
  return numbers && numbers.length === dimension && numbers.every(Number.isFinite) ? numbers : undefined
}

function fromNumbers(value: unknown): Float32Array | undefined {
  return Array.isArray(value) && value.every((element) => typeof element === 'number')
    ? Float32Array.from(value)
    : undefined
}

function outOfBounds({ values, minLength, maxLength, min, max }: ColumnDescriptor, value: Value): string | undefined {
  if (values && !values.includes(String(value))) return `allowed are ${values.join(', ')}`
  if (typeof value === 'string' && (minLength !== undefined || maxLength !== undefined)) {
    const length = codePoints(value)
    if (minLength !== undefined && length < minLength)
      return `it has ${length} characters, at least ${minLength} are needed`
    if (maxLength !== undefined && length > maxLength) return `it has ${length} characters, at most ${maxLength} fit`
  }
  if (min !== undefined && Number(value) < min) return `the least is ${min}`
  if (max !== undefined && Number(value) > max) return `the most is ${max}`
  return undefined
}

/** Characters as PostgreSQL counts them; the text is well formed. */
function codePoints(text: string): number {
  let count = text.length
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit >= 0xd800 && unit <= 0xdbff) count--
  }
  return count
}

function expected({ type, precision, scale, dimension }: ColumnDescriptor): string {
  switch (type) {
    case 'numeric':
      return `a decimal number that fits numeric(${precision},${scale})`
    case 'timestamptz':
      return 'a Date or an ISO time with zone'
    case 'date':
      return 'a date like 2026-11-22'
    case 'jsonb':
      return 'plain JSON'
    case 'text[]':
      return 'a list of texts'
    case 'bytea':
      return 'bytes or base64'
    case 'vector':
      return `${dimension} finite numbers`
    case 'text':
      return 'a text without U+0000 or half characters'
    case 'bigint':
      return 'a whole number below 2^53'
    default:
      return `a value of type ${type}`
  }
}

function invalid(column: ColumnDescriptor, value: unknown, why: string): TideError {
  return new TideError('invalid_value', `Column ${column.name} cannot be ${show(value)}: ${why}.`)
}

function show(value: unknown): string {
  const text =
    typeof value === 'object' && value !== null
      ? (JSON.stringify(canonicalJson(value)) ?? Object.prototype.toString.call(value))
      : String(value)
  const short = text.length > 80 ? `${text.slice(0, 80)}…` : text
  return typeof value === 'string' ? `'${short}'` : short
}

function sameNumbers(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index])
}

function sameSet(a: readonly Json[], b: readonly Json[]): boolean {
  const left = new Set(a)
  const right = new Set(b)
  return left.size === right.size && [...left].every((element) => right.has(element))
}

function isList(value: Value): value is readonly Json[] {
  return Array.isArray(value)
}
