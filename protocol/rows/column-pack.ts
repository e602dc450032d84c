import type { ColumnPacking } from './block.ts'
import type { Json, Value } from './row.ts'
import type { ColumnDescriptor } from './table.ts'
import { isoToMs } from './iso-time.ts'
import { writeUuid } from './uuid-bytes.ts'
import { invariant } from '../../lib/invariant.ts'

/** Adds a section to the block and gives its index. */
export type AddSection = (bytes: Uint8Array) => number

/** Distinct values that fit one byte. */
const maxDistinct = 256
/** Below this a section costs more than it saves. */
const minRowsForDict = 16

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
  if (few && plain.length >= minRowsForDict && few.values.length * 2 <= plain.length) {
    return { kind: 'dict', values: few.values, section: add(few.codes) }
  }
  return packTyped(column, plain, add) ?? { kind: 'json', values: plain }
}

function packTyped(column: ColumnDescriptor, values: readonly Json[], add: AddSection): ColumnPacking | undefined {
  switch (column.type) {
    case 'uuid': {
      const bytes = packUuids(values)
      return bytes && { kind: 'uuid', section: add(bytes) }
    }
    case 'timestamptz': {
      const bytes = packTimes(values)
      return bytes && { kind: 'time', section: add(bytes) }
    }
    case 'integer':
    case 'bigint':
    case 'double':
    case 'numeric': {
      const bytes = packNumbers(values)
      return bytes && { kind: 'number', section: add(bytes) }
    }
    default:
      return undefined
  }
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
  const nulls: number[] = []
  const vectors: Float32Array[] = []
  values.forEach((value, index) => {
    if (value instanceof Float32Array) vectors.push(value)
    else nulls.push(index)
  })
  const dimension = column.dimension ?? vectors[0]?.length ?? 1
  const floats = new Float32Array(dimension * vectors.length)
  vectors.forEach((vector, index) => {
    invariant(
      vector.length === dimension,
      `a vector of ${column.name} has ${dimension} dimensions, this one ${vector.length}`,
    )
    floats.set(vector, dimension * index)
  })
  return { kind: 'vector', section: add(new Uint8Array(floats.buffer)), dimension, nulls }
}
