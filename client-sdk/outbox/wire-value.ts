import { vectorToBase64 } from '../../protocol/rows/base64.ts'
import type { Json, Patch, Value } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'
import { canonicalValue } from '../../protocol/rows/value.ts'

/** A canonical value as it stands in a message: vectors as base64 of float32 little-endian, all others as they are. */
export function toWire(value: Value): Json {
  return value instanceof Float32Array ? vectorToBase64(value) : value
}

/** Back from a message to the canonical value. */
export function fromWire(column: ColumnDescriptor | undefined, value: Json): Value {
  return column?.type === 'vector' && typeof value === 'string' ? canonicalValue(column, value) : value
}

export function patchToWire(patch: Patch): Record<string, Json> {
  return Object.fromEntries(Object.entries(patch).map(([name, value]) => [name, toWire(value)]))
}

export function patchFromWire(table: TableDescriptor, patch: Readonly<Record<string, Json>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(patch).map(([name, value]) => [name, fromWire(table.columns[name], value)]))
}
