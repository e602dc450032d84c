import type { ColumnPacking } from './block.ts'
import type { Json, Value } from './row.ts'
import type { ColumnDescriptor, ColumnType } from './table.ts'
import { isoToMs } from './iso-time.ts'
import { presenceBytes, setPresent } from './presence.ts'
import { packTexts } from './text-section.ts'
import { writeUuid } from './uuid-bytes.ts'
import { invariant } from '../../lib/invariant.ts'

/** Adds a section to the block and gives its index. */
export type AddSection = (bytes: Uint8Array) => number

/** Distinct values that fit one byte. */
export const maxDistinct = 256
/** Below this a section costs more than it saves, save for values that are binary by nature. */
export const minRowsForSection = 16

/**
 * The smallest packing for the values of one column: one value for all rows, one byte per row, the type's own binary
 * form, else plain JSON. `distinct`: the column is known to differ from row to row (ids), so the first two are skipped.
 */
export function packColumn(
  column: ColumnDescriptor,
  values: readonly Value[],
  distinct: boolean,
  add: AddSection,
): ColumnPacking {
  if (column.type === 'vector') return packVectors(column, values, add)
  const plain = values as readonly Json[]
  const first = plain[0] ?? null
  const few = distinct ? undefined : distinctValues(plain)
  if (few && few.values.length <= 1) return { kind: 'const', value: first }
  const isMany = plain.length >= minRowsForSection
  if (few && isMany && few.values.length * 2 <= plain.length)
    return { kind: 'dict', values: few.values, section: add(few.codes) }
  const typed = packTyped(column, plain, add)
  if (typed) return typed
  if (!isMany) return { kind: 'json', values: plain }
  return packAsTexts(plain, add) ?? { kind: 'list', section: add(encoder.encode(JSON.stringify(plain))) }
}

const encoder = new TextEncoder()

/** Undefined: the type has no binary form here, or a value is not in its canonical form. */
function packTyped(column: ColumnDescriptor, values: readonly Json[], add: AddSection): ColumnPacking | undefined {
  const pack = packers[column.type]
  if (!pack) return undefined
  const present = values.filter((value) => value !== null)
  const bytes = pack.bytes(present)
  return bytes && { kind: pack.kind, section: add(bytes), ...presence(values, present.length, add) }
}

interface Packer {
  readonly kind: 'uuid' | 'number' | 'time'
  /** Undefined: a value is not in the canonical form of the type. */
  readonly bytes: (values: readonly Json[]) => Uint8Array | undefined
}

const numbers: Packer = { kind: 'number', bytes: packNumbers }
const packers: Readonly<Partial<Record<ColumnType, Packer>>> = {
  uuid: { kind: 'uuid', bytes: packUuids },
  timestamptz: { kind: 'time', bytes: packTimes },
  integer: numbers,
  bigint: numbers,
  double: numbers,
  numeric: numbers,
}

function packAsTexts(values: readonly Json[], add: AddSection): ColumnPacking | undefined {
  const present = values.filter((value) => value !== null)
  if (!present.every((value) => typeof value === 'string')) return undefined
  const { bytes, lengths } = packTexts(present)
  return { kind: 'text', section: add(bytes), lengths: add(lengths), ...presence(values, present.length, add) }
}

function presence(values: readonly unknown[], present: number, add: AddSection): { present?: number } {
  if (present === values.length) return {}
  const bits = new Uint8Array(presenceBytes(values.length))
  values.forEach((value, row) => {
    if (value !== null) setPresent(bits, row)
  })
  return { present: add(bits) }
}

/** The distinct values and one code per row, or undefined when there are more than fit a byte. */
function distinctValues(
  values: readonly Json[],
): { readonly values: readonly Json[]; readonly codes: Uint8Array } | undefined {
  const codes = new Uint8Array(values.length)
  const found: Json[] = []
  const codeOfValue = new Map<Json, number>()
  /** Objects and arrays by their text, apart from strings that happen to look like it. */
  const codeOfText = new Map<Json, number>()
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? null
    const nested = typeof value === 'object' && value !== null
    const map = nested ? codeOfText : codeOfValue
    const key = nested ? JSON.stringify(value) : value
    let code = map.get(key)
    if (code === undefined) {
      if (found.length === maxDistinct) return undefined
      code = found.push(value) - 1
      map.set(key, code)
    }
    codes[index] = code
  }
  return { values: found, codes }
}

function packUuids(values: readonly Json[]): Uint8Array | undefined {
  const bytes = new Uint8Array(16 * values.length)
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (typeof value !== 'string' || !writeUuid(value, bytes, 16 * index)) return undefined
  }
  return bytes
}

function packNumbers(values: readonly Json[]): Uint8Array | undefined {
  const numbers = new Float64Array(values.length)
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (typeof value !== 'number') return undefined
    numbers[index] = value
  }
  return new Uint8Array(numbers.buffer)
}

function packTimes(values: readonly Json[]): Uint8Array | undefined {
  const times = new Float64Array(values.length)
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    const ms = typeof value === 'string' ? isoToMs(value) : undefined
    if (ms === undefined) return undefined
    times[index] = ms
  }
  return new Uint8Array(times.buffer)
}

function packVectors(column: ColumnDescriptor, values: readonly Value[], add: AddSection): ColumnPacking {
  const vectors = values.filter((value) => value instanceof Float32Array)
  const dimension = column.dimension ?? vectors[0]?.length ?? 1
  const floats = new Float32Array(dimension * vectors.length)
  vectors.forEach((vector, index) => {
    invariant(
      vector.length === dimension,
      `a vector of ${column.name} has ${dimension} dimensions, this one ${vector.length}`,
    )
    floats.set(vector, dimension * index)
  })
  const section = add(new Uint8Array(floats.buffer))
  return { kind: 'vector', section, dimension, ...presence(values, vectors.length, add) }
}
