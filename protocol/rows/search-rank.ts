import type { Filter } from './filter.ts'
import type { ColumnDescriptor } from './table.ts'

/** What each part weighs where a search has both a vector and words; parts count up to 1. */
export const searchWeights = { vector: 0.55, text: 0.2, importance: 0.15, recency: 0.1 } as const

export type SearchPart = keyof typeof searchWeights

/** In the order in which searches answer them. */
export const searchParts = ['vector', 'text', 'importance', 'recency'] as const satisfies readonly SearchPart[]

/** The score of a row that was found by a vector and words together; a part that it lacks counts nothing. */
export function searchScore(parts: Readonly<Partial<Record<SearchPart, number>>>): number {
  return searchParts.reduce((sum, name) => sum + searchWeights[name] * Math.min(parts[name] ?? 0, 1), 0)
}

/** So many of the nearest, and as many of those with the words, are ranked together: more than are asked for. */
export const searchCandidates = (limit: number): number => Math.max(100, 4 * limit)

/** Columns whose words are looked for; they are what full-text indexes are over. */
export const fullTextColumns: readonly string[] = ['title', 'content']

/** So many characters of a column are looked for words. */
export const fullTextCharacters = 250_000

/** Columns in which the text as it stands is looked for. */
export const literalColumns: readonly string[] = ['title', 'name', 'content', 'summary']

type Columns = Readonly<Record<string, ColumnDescriptor>>

/** Properties of a table that are text, of those named. */
export function textColumns(columns: Columns, names: readonly string[]): readonly string[] {
  return names.filter((name) => columns[name]?.type === 'text')
}

/** By which columns a search leaves out rows of a table that are not deleted. */
export interface Liveness {
  /** A row is left out after its `expiresAt`. */
  readonly expires: boolean
  /** Only rows of status `active` are found, unless the filter says itself which states it wants. */
  readonly isSuperseded: boolean
  /** Only rows with `isCurrent` are found: the others are former versions. */
  readonly isVersioned: boolean
}

export function livenessOf(columns: Columns): Liveness {
  return {
    expires: columns['expiresAt'] !== undefined,
    isSuperseded: columns['status']?.values?.includes('superseded') === true,
    isVersioned: columns['isCurrent'] !== undefined,
  }
}

/** Whether rows of a table are worth more or less, and fade, whatever is asked for. */
export function hasWorth(columns: Columns): boolean {
  return columns['importance'] !== undefined && columns['decayRate'] !== undefined
}

/** Whether a filter compares a column, on whatever level. */
export function namesColumn(filter: Filter, property: string): boolean {
  return Object.entries(filter).some(([key, part]) => {
    if (key === 'and' || key === 'or') return (part as readonly Filter[]).some((each) => namesColumn(each, property))
    if (key === 'not') return namesColumn(part as Filter, property)
    return key === property
  })
}
