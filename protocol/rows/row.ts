export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/** One value of a row in its canonical JavaScript form; `value.ts` says which form each column type has. */
export type Value = Json | Float32Array

/**
 * A row by camelCase property, every column present (null where SQL has NULL), vectors only where they were asked for.
 */
export type Row = Readonly<Record<string, Value>>

/** Part of a row: the columns a write touches. */
export type Patch = Readonly<Record<string, Value>>

/** A row of a synced table always has these. */
export function rowId(row: Row): string {
  return row['id'] as string
}
