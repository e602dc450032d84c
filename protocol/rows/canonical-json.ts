import type { Json } from './row.ts'

/** Levels of nesting that a jsonb value may have: more would overflow stacks along the way. */
const deepest = 100

/**
 * A copy of a value as jsonb keeps it: entries that are undefined are left out, -0 is 0. Undefined when it holds
 * something that JSON or PostgreSQL cannot (NaN, functions, dates, U+0000, half surrogates, cycles).
 */
export function canonicalJson(value: unknown, depth = 0): Json | undefined {
  switch (typeof value) {
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) ? value + 0 : undefined
    case 'string':
      return isStorableText(value) ? value : undefined
    case 'object':
      return value === null ? null : depth < deepest ? canonicalContainer(value, depth + 1) : undefined
    default:
      return undefined
  }
}

/** Whether PostgreSQL can store the text: no U+0000, no half of a surrogate pair. */
export function isStorableText(text: string): boolean {
  return !text.includes('\u0000') && !/[\ud800-\udfff]/u.test(text)
}

function canonicalContainer(value: object, depth: number): Json | undefined {
  if (Array.isArray(value)) {
    const list: Json[] = []
    for (const element of value) {
      const item = canonicalJson(element, depth)
      if (item === undefined) return undefined
      list.push(item)
    }
    return list
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return undefined
  const entries: [string, Json][] = []
  for (const [key, element] of Object.entries(value)) {
    if (element === undefined) continue
    const item = canonicalJson(element, depth)
    if (item === undefined || !isStorableText(key)) return undefined
    entries.push([key, item])
  }
  return Object.fromEntries(entries)
}
