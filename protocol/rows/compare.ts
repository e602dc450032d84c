import type { Json } from './row.ts'
import type { ColumnType } from './table.ts'

/**
 * How values of one column type compare, the same as in Postgres: text by code point (collation C), numerics exactly,
 * times as instants. Negative, zero or positive, as for `sort`. Neither value is null.
 */
export type Compare = (a: Json, b: Json) => number

/** The comparison of a column type, or undefined for types without an order of their own. */
export function compareOf(type: ColumnType): Compare | undefined {
  switch (type) {
    case 'integer':
    case 'bigint':
    case 'double':
      return compareNumber
    case 'numeric':
      return compareNumeric
    case 'boolean':
      return compareNumber
    case 'timestamptz':
      return compareTime
    case 'text':
      return (a, b) => compareText(String(a), String(b))
    // Hex digits and decimal digits of fixed places: plain string order is theirs.
    case 'uuid':
    case 'date':
      return (a, b) => comparePlain(String(a), String(b))
    default:
      return undefined
  }
}

/** Order by code point. JavaScript's own compares UTF-16 units and so puts U+1F600 before U+FF41. */
export function compareText(a: string, b: string): number {
  const end = Math.min(a.length, b.length)
  for (let index = 0; index < end; index++) {
    const one = a.charCodeAt(index)
    const other = b.charCodeAt(index)
    if (one !== other) return rankOf(one) - rankOf(other)
  }
  return a.length - b.length
}

/** Surrogates stand for code points above all others. */
function rankOf(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

function comparePlain(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function compareNumber(a: Json, b: Json): number {
  return Number(a) - Number(b)
}

function compareTime(a: Json, b: Json): number {
  const one = String(a)
  const other = String(b)
  // Canonical times of the years 0 to 9999 sort as text.
  return one.length === 24 && other.length === 24 ? comparePlain(one, other) : Date.parse(one) - Date.parse(other)
}

function compareNumeric(a: Json, b: Json): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  return compareDecimal(String(a), String(b))
}

interface Decimal {
  /** The digits as a whole number, with sign. */
  readonly digits: bigint
  /** How many of them stand after the point; negative: zeros that follow. */
  readonly scale: number
}

/** A decimal number as Postgres prints numerics and JavaScript prints numbers. */
export const decimalPattern = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d{1,4}))?$/

/** Exact comparison of decimal numbers of any length. Both match `decimalPattern`. */
export function compareDecimal(a: string, b: string): number {
  const one = parseDecimal(a)
  const other = parseDecimal(b)
  const scale = Math.max(one.scale, other.scale)
  const difference = one.digits * 10n ** BigInt(scale - one.scale) - other.digits * 10n ** BigInt(scale - other.scale)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

function parseDecimal(text: string): Decimal {
  const [, sign = '', whole = '0', fraction = '', exponent = '0'] = decimalPattern.exec(text) ?? []
  return { digits: BigInt(`${sign}${whole}${fraction}`), scale: fraction.length - Number(exponent) }
}
