import type { Json } from './row.ts'

/**
 * Rows of one table, column by column: how snapshots and batches travel. A column says how its values are packed;
 * `section` is an index into the frame's binary sections. `block-codec.ts` packs and unpacks.
 */
export interface TableBlock {
  readonly table: string
  readonly count: number
  readonly columns: readonly ColumnBlock[]
}

export type ColumnBlock = { readonly name: string } & ColumnPacking

/**
 * - `const`: every row has this value
 * - `dict`: one byte per row, an index into `values`
 * - `uuid`: 16 bytes per row, no nulls
 * - `number`: float64 little-endian per row, no nulls
 * - `time`: float64 little-endian milliseconds since 1970 per row, no nulls
 * - `vector`: `dimension` float32 little-endian per row; rows in `nulls` (ascending indices) are null and take no bytes
 * - `json`: plain values
 */
export type ColumnPacking =
  | { readonly kind: 'const'; readonly value: Json }
  | { readonly kind: 'dict'; readonly values: readonly Json[]; readonly section: number }
  | { readonly kind: 'uuid'; readonly section: number }
  | { readonly kind: 'number'; readonly section: number }
  | { readonly kind: 'time'; readonly section: number }
  | { readonly kind: 'vector'; readonly section: number; readonly dimension: number; readonly nulls: readonly number[] }
  | { readonly kind: 'json'; readonly values: readonly Json[] }

/** A block with the binary sections it refers to, before it is placed in a frame. */
export interface PackedBlock {
  readonly block: TableBlock
  readonly sections: readonly Uint8Array[]
}
