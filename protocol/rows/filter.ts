import type { Json } from './row.ts'

/**
 * A filter as users write it and as it travels: `{ status: { in: ['pending'] }, priority: 'high', or: [ … ] }`.
 * All entries of one object hold together (AND). A bare value means `eq`; a bare null means `isNull: true`.
 * `matcher.ts` evaluates it in JavaScript and `filter-sql.ts` as SQL: both give the same rows, see those files for
 * NULL, numbers, text order and `ilike`.
 */
export interface Filter {
  readonly and?: readonly Filter[]
  readonly or?: readonly Filter[]
  readonly not?: Filter
  readonly [column: string]: Json | Operators | Filter | readonly Filter[] | undefined
}

export interface Operators {
  readonly eq?: Json
  readonly ne?: Json
  readonly lt?: string | number
  readonly lte?: string | number
  readonly gt?: string | number
  readonly gte?: string | number
  readonly in?: readonly (string | number | boolean)[]
  readonly notIn?: readonly (string | number | boolean)[]
  /** SQL pattern: `%` any text, `_` one character, `\` escapes. */
  readonly like?: string
  /** As `like`, folding case of ASCII letters only. */
  readonly ilike?: string
  readonly isNull?: boolean
  /** `text[]`: has this element; `jsonb`: contains these top-level entries. */
  readonly contains?: Json
}

/** Bounds on filters from outside: nesting, entries in all, and length of lists and patterns. */
export const filterLimits = { depth: 6, nodes: 64, list: 1000, pattern: 200 } as const

export type OrderBy = Readonly<Record<string, 'asc' | 'desc'>>

/**
 * A read of one table. Ties are always broken by id, so that windows are stable. NULLs come last, as in Postgres `asc`.
 */
export interface Query {
  readonly where?: Filter
  readonly orderBy?: readonly OrderBy[]
  readonly limit?: number
  readonly offset?: number
  /** Also rows that are deleted but not yet purged; they are left out otherwise. */
  readonly withDeleted?: boolean
}
