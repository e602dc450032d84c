import type { Json } from './row.ts'

/**
 * Rows of one table, column by column: how snapshots and batches travel. A column says how its values are packed;
 * `section`, `lengths` and `present` are indices into the frame's binary sections. `block-codec.ts` packs and unpacks.
 */
export interface TableBlock {
  readonly table: string
  readonly count: number
  readonly columns: readonly ColumnBlock[]
}

export type ColumnBlock = { readonly name: string } & ColumnPacking

/** `present`: one bit per row, lowest first; rows without it are null and take no bytes. Absent: no row is null. */
interface Sectioned {
  readonly section: number
  readonly present?: number
}

/**
 * - `const`: every row has this value
 * - `dict`: one byte per row, an index into `values`
 * - `uuid`: 16 bytes each
 * - `number`: float64 little-endian each
 * - `time`: float64 little-endian milliseconds since 1970 each
 * - `vector`: `dimension` float32 little-endian each
 * - `text`: UTF-8 of all, one after the other; `lengths` has the bytes of each as LEB128
 * - `list`: one JSON list of all values, nulls among them, in UTF-8
 * - `json`: plain values
 */
export type ColumnPacking =
  | { readonly kind: 'const'; readonly value: Json }
  | { readonly kind: 'dict'; readonly values: readonly Json[]; readonly section: number }
  | ({ readonly kind: 'uuid' | 'number' | 'time' } & Sectioned)
  | ({ readonly kind: 'vector'; readonly dimension: number } & Sectioned)
  | ({ readonly kind: 'text'; readonly lengths: number } & Sectioned)
  | { readonly kind: 'list'; readonly section: number }
  | { readonly kind: 'json'; readonly values: readonly Json[] }

/** A block with the binary sections it refers to, before it is placed in a frame. */
export interface PackedBlock {
  readonly block: TableBlock
  readonly sections: readonly Uint8Array[]
}
