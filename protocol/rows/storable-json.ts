import { isStorableText } from './canonical-json.ts'

/**
 * Text and JSON in which U+FFFD stands for what PostgreSQL stores nowhere (U+0000, halves of surrogate pairs). For what
 * must be kept although somebody else wrote it; what a client can mend is refused instead (`isStorableText`).
 */

export function storableText(text: string): string {
  return text.toWellFormed().replaceAll('\u0000', '\ufffd')
}

/** `JSON.stringify`, storable as jsonb. */
export function storableJson(value: unknown): string {
  // `JSON.stringify` escapes just these; a backslash of the text itself is two.
  const unstorable = /\\\\|\\u0000|\\ud[89a-f][\da-f]{2}/g
  return JSON.stringify(value).replace(unstorable, (found) => (found === '\\\\' ? found : '\ufffd'))
}

/** Where in a JSON value there is text that PostgreSQL stores nowhere, as a path of keys; undefined: nowhere. */
export function findUnstorable(value: unknown, path: readonly PropertyKey[] = []): readonly PropertyKey[] | undefined {
  if (typeof value === 'string') return isStorableText(value) ? undefined : path
  if (typeof value !== 'object' || value === null) return undefined
  const isList = Array.isArray(value)
  for (const [key, element] of Object.entries(value)) {
    const at = [...path, isList ? Number(key) : key]
    const found = isStorableText(key) ? findUnstorable(element, at) : at
    if (found) return found
  }
  return undefined
}
