import type { Schema, TableDescriptor } from '../../protocol/rows/table.ts'

/** A table of `S`, by property or SQL name. */
export type TableName<S extends Schema> = Extract<keyof S, string> | S[keyof S]['name']

/** The table of that name. */
export type TableNamed<S extends Schema, N extends string> = N extends keyof S
  ? S[N]
  : Extract<S[keyof S], { readonly name: N }>

/** Whether a table has an embedding to search by. */
export type HasVector<T extends TableDescriptor> = 'vector' extends T['columns'][keyof T['columns']]['type']
  ? true
  : false

/** A table with an embedding, by property or SQL name. */
export type SearchableName<S extends Schema> = {
  readonly [K in keyof S]: HasVector<S[K]> extends true ? Extract<K, string> | S[K]['name'] : never
}[keyof S]
