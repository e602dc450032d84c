import type { RowOf } from '../../protocol/rows/row-type.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'

/** What a column may be compared with: a bare value (equal; null: is null) or operators, all of which must hold. */
type Comparison<V> =
  | V
  | {
      readonly eq?: NonNullable<V>
      readonly ne?: NonNullable<V>
      readonly lt?: Ordered<V>
      readonly lte?: Ordered<V>
      readonly gt?: Ordered<V>
      readonly gte?: Ordered<V>
      readonly in?: readonly NonNullable<V>[]
      readonly notIn?: readonly NonNullable<V>[]
      readonly like?: Extract<V, string> extends never ? never : string
      readonly ilike?: Extract<V, string> extends never ? never : string
      readonly isNull?: boolean
      readonly contains?: V extends readonly (infer E)[] | null
        ? E
        : V extends string | number | boolean
          ? never
          : unknown
    }

type Ordered<V> = Extract<NonNullable<V>, string | number>

/**
 * A filter on the rows of `T`; the entries of one object hold together. Means the same on the server and on the
 * replica.
 */
export type FilterOf<T extends TableDescriptor> = { readonly [K in keyof RowOf<T>]?: Comparison<RowOf<T>[K]> } & {
  readonly and?: readonly FilterOf<T>[]
  readonly or?: readonly FilterOf<T>[]
  readonly not?: FilterOf<T>
}

/** A read of one table. Rows in equal places are ordered by id. */
export interface QueryOf<T extends TableDescriptor> {
  readonly where?: FilterOf<T>
  readonly orderBy?: readonly { readonly [K in keyof RowOf<T>]?: 'asc' | 'desc' }[]
  readonly limit?: number
  readonly offset?: number
  /** Also rows that are deleted but can still be restored. */
  readonly withDeleted?: boolean
}
