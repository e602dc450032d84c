import type { Json } from './row.ts'
import type { ColumnDescriptor, ColumnType, TableDescriptor } from './table.ts'

/**
 * Types of rows, inferred from descriptors that TypeScript knows literally (`as const`, as in `schema.generated.ts`).
 * From a plain `TableDescriptor` they come out as records of any column.
 */

interface TypeByColumn extends Record<ColumnType, unknown> {
  uuid: string
  text: string
  integer: number
  bigint: number
  numeric: number
  double: number
  boolean: boolean
  timestamptz: string
  date: string
  interval: string
  jsonb: Json
  'text[]': readonly string[]
  bytea: string
  inet: string
  vector: Float32Array
}

/** Beyond 15 digits a JavaScript number loses some, so those travel as decimal strings. */
type WidePrecision =
  | 16
  | 17
  | 18
  | 19
  | 20
  | 21
  | 22
  | 23
  | 24
  | 25
  | 26
  | 27
  | 28
  | 29
  | 30
  | 31
  | 32
  | 33
  | 34
  | 35
  | 36
  | 37
  | 38

type Scalar<C extends ColumnDescriptor> = C extends { readonly values: infer Values extends readonly string[] }
  ? Values[number]
  : C extends { readonly type: 'numeric'; readonly precision: WidePrecision }
    ? string
    : TypeByColumn[C['type']]

/** What a caller may hand in: canonical values, and what `canonicalValue` makes canonical. */
type Accepted<C extends ColumnDescriptor> = C extends { readonly type: 'timestamptz' }
  ? string | Date
  : C extends { readonly type: 'vector' }
    ? Float32Array | readonly number[]
    : C extends { readonly type: 'bytea' }
      ? string | Uint8Array
      : C extends { readonly type: 'numeric' }
        ? number | string
        : C extends { readonly type: 'jsonb' }
          ? JsonInput
          : Scalar<C>

/** JSON to be written; entries that are undefined are left out. */
export type JsonInput = Json | readonly JsonInput[] | { readonly [key: string]: JsonInput | undefined }

type OrNull<C extends ColumnDescriptor, T> = C extends { readonly nullable: true } ? T | null : T

type ServerColumn = { readonly class: 'server' }
type Columns<T extends TableDescriptor> = T['columns']

type InsertableKey<T extends TableDescriptor> = {
  [K in keyof Columns<T>]: Columns<T>[K] extends ServerColumn ? never : K
}[keyof Columns<T>]

type OptionalKey<T extends TableDescriptor> = {
  [K in keyof Columns<T>]: Columns<T>[K] extends { readonly optional: true } ? K : never
}[keyof Columns<T>]

type PatchableKey<T extends TableDescriptor> = {
  [K in keyof Columns<T>]: Columns<T>[K] extends { readonly class: 'server' | 'fixed' | 'counter' } ? never : K
}[keyof Columns<T>]

/** A row as it is read: every column, null where SQL has NULL. */
export type RowOf<T extends TableDescriptor> = {
  readonly [K in keyof Columns<T>]: OrNull<Columns<T>[K], Scalar<Columns<T>[K]>>
}

/** A row to be inserted: without the columns that the server fills. */
export type InsertOf<T extends TableDescriptor> = {
  readonly [K in Exclude<InsertableKey<T>, OptionalKey<T>>]: OrNull<Columns<T>[K], Accepted<Columns<T>[K]>>
} & {
  readonly [K in Extract<InsertableKey<T>, OptionalKey<T>>]?: OrNull<Columns<T>[K], Accepted<Columns<T>[K]>> | undefined
}

/** Columns to be changed: none of the server's, none that are fixed, no counters (`increment` changes those). */
export type PatchOf<T extends TableDescriptor> = {
  readonly [K in PatchableKey<T>]?: OrNull<Columns<T>[K], Accepted<Columns<T>[K]>> | undefined
}
