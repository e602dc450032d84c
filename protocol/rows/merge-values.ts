import { diff3Merge } from 'node-diff3'
import { compareText } from './compare.ts'
import { entryOf, isJsonObject, jsonEqual, type JsonObject } from './json-equal.ts'
import type { Json, Value } from './row.ts'
import type { ColumnType } from './table.ts'

export type TextMerge = { readonly text: string } | { readonly conflict: true }

export interface TopLevelMerge {
  /** The merged object; keys in conflict have the value of `theirs`. */
  readonly value: JsonObject
  /** Keys that both sides changed to different values, sorted. */
  readonly conflicts: readonly string[]
}

/** Pairs of equal lines beyond which a merge would take seconds (thousands of equal lines on both sides). */
const maxLinePairs = 2_000_000

/**
 * Merges two changes of one text line by line. Changes of different places are both taken, equal changes once; changes
 * that touch the same or neighbouring lines conflict. Symmetric in `mine` and `theirs`.
 */
export function mergeText3(base: string, mine: string, theirs: string): TextMerge {
  if (mine === theirs || theirs === base) return { text: mine }
  if (mine === base) return { text: theirs }
  const [baseLines, mineLines, theirLines] = [base.split('\n'), mine.split('\n'), theirs.split('\n')]
  if (linePairs(baseLines, mineLines) > maxLinePairs || linePairs(baseLines, theirLines) > maxLinePairs)
    return { conflict: true }
  const parts: string[] = []
  for (const region of diff3Merge(mineLines, baseLines, theirLines, { excludeFalseConflicts: true })) {
    if (!region.ok) return { conflict: true }
    if (region.ok.length > 0) parts.push(region.ok.join('\n'))
  }
  return { text: parts.join('\n') }
}

/** How many pairs of equal lines the longest common subsequence has to look at. */
function linePairs(a: readonly string[], b: readonly string[]): number {
  const counts = new Map<string, number>()
  for (const line of a) counts.set(line, (counts.get(line) ?? 0) + 1)
  return b.reduce((pairs, line) => pairs + (counts.get(line) ?? 0), 0)
}

/**
 * Merges two changes of a set: what either side removed is out, what either side added is in. Elements of `base` keep
 * their order, added ones follow by code point, so that both orders of merging give the same array.
 */
export function mergeSets(base: readonly string[], mine: readonly string[], theirs: readonly string[]): string[] {
  const [baseSet, mineSet, theirSet] = [new Set(base), new Set(mine), new Set(theirs)]
  const kept = [...baseSet].filter((element) => mineSet.has(element) && theirSet.has(element))
  const added = [...new Set([...mine, ...theirs])].filter((element) => !baseSet.has(element)).toSorted(compareText)
  return [...kept, ...added]
}

/** Merges two changes of a JSON object key by key; a key that is missing counts as a value of its own. */
export function mergeTopLevel(base: JsonObject, mine: JsonObject, theirs: JsonObject): TopLevelMerge {
  const entries: [string, Json][] = []
  const conflicts: string[] = []
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const [was, my, their] = [entryOf(base, key), entryOf(mine, key), entryOf(theirs, key)]
    const untouched = jsonEqual(was, their)
    if (!untouched && !jsonEqual(was, my) && !jsonEqual(my, their)) conflicts.push(key)
    const value = untouched ? my : their
    if (value !== undefined) entries.push([key, value])
  }
  return { value: Object.fromEntries(entries), conflicts: conflicts.toSorted(compareText) }
}

/**
 * A column when the losing side of a conflict is taken: its value; of an object or a set, only what it had changed,
 * laid over what is there `now`.
 */
export function takeLosing(type: ColumnType, base: Value, mine: Value, now: Value): Value {
  // Keys in conflict get the value of the last argument.
  if (type === 'jsonb' && isJsonObject(base) && isJsonObject(mine) && isJsonObject(now))
    return mergeTopLevel(base, now, mine).value
  if (type === 'text[]' && isTexts(base) && isTexts(mine) && isTexts(now)) return mergeSets(base, mine, now)
  return mine
}

function isTexts(value: Value): value is readonly string[] {
  return Array.isArray(value)
}
