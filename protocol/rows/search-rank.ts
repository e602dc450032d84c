import type { Filter } from './filter.ts'

/** What each part weighs where a search has both a vector and words; parts count up to 1. */
export const searchWeights = { vector: 0.55, text: 0.2, importance: 0.15, recency: 0.1 } as const

/** So many of the nearest, and as many of those with the words, are ranked together: more than are asked for. */
export const searchCandidates = (limit: number): number => Math.max(100, 4 * limit)

/** Columns whose words are in the full-text index of the tables that have one. */
export const fullTextColumns: readonly string[] = ['title', 'content']

/** Columns in which the text as it stands is looked for. */
export const literalColumns: readonly string[] = ['title', 'name', 'content', 'summary']

/** Whether a filter compares a column, on whatever level. */
export function namesColumn(filter: Filter, property: string): boolean {
  return Object.entries(filter).some(([key, part]) => {
    if (key === 'and' || key === 'or') return (part as readonly Filter[]).some((each) => namesColumn(each, property))
    if (key === 'not') return namesColumn(part as Filter, property)
    return key === property
  })
}
